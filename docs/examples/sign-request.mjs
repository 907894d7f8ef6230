// Signs a request for a provider of type httpSignature (RFC 9421, RFC 9530) and sends it. Needs only Node.
//   SECRET=… node docs/examples/sign-request.mjs acme POST http://127.0.0.1:8787/orders '{"item":1}'
import { createHash, createHmac, randomUUID } from 'node:crypto'
import { argv, env } from 'node:process'
import { fileURLToPath } from 'node:url'

/** The header fields that sign a request with a secret shared with the gateway. `url` is the URL of the request. */
export function signRequest({ keyid, secret, method, url, body }) {
  const created = Math.floor(Date.now() / 1000)
  const digest = body && `sha-256=:${createHash('sha256').update(body).digest('base64')}:`
  const { href, hash } = new URL(url)
  const lines = [`"@method": ${method}`, `"@target-uri": ${href.slice(0, href.length - hash.length)}`]
  if (digest) lines.push(`"content-digest": ${digest}`)
  const covered = lines.map((line) => line.slice(0, line.indexOf(':'))).join(' ')
  const parameters = `(${covered});created=${created};nonce="${randomUUID()}";keyid="${keyid}"`
  const base = [...lines, `"@signature-params": ${parameters}`].join('\n')
  return {
    ...(digest && { 'content-digest': digest }),
    'signature-input': `sig1=${parameters}`,
    signature: `sig1=:${createHmac('sha256', secret).update(base).digest('base64')}:`,
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const [keyid, method, url, body] = argv.slice(2)
  const headers = signRequest({ keyid, secret: env.SECRET, method, url, body })
  const response = await fetch(url, { method, headers, body })
  console.log(response.status, await response.text())
}
