// An origin that accepts only requests that the gateway has signed (an upstream with `sign` and hmac-sha256). Needs only Node.
//   ORIGIN_HMAC=… ORIGIN_URL=http://127.0.0.1:9201 node docs/examples/signed-origin.mjs
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import { argv, env } from 'node:process'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

/** Exactly the form that the gateway writes: any other was not signed by it. */
const INPUT =
  /^sig1=(\(([^)]*)\);created=(\d{1,12});expires=(\d{1,12});nonce="([\w-]{1,64})";keyid="[^"]*";alg="hmac-sha256")$/
const SIGNATURE = /^sig1=:([A-Za-z0-9+/]{43}=):$/
const CLOCK_SKEW_SECONDS = 5

/**
 * The reason why a request was not signed by the gateway; undefined when it was.
 * `url`: the target as in the gateway's routes.json, with the raw path and query of the request. `body`: its bytes.
 * `seen`: nonce → expiry in seconds; one Map for the whole process, shared storage if there are several.
 */
export function objectionTo({ method, url, headers, body }, secret, seen, now = Date.now() / 1000) {
  const input = INPUT.exec(headers['signature-input'] ?? '')
  const signature = SIGNATURE.exec(headers.signature ?? '')
  if (!input || !signature) return 'not signed'
  const [, parameters, list, created, expires, nonce] = input
  const covered = list.split(' ').map((name) => name.slice(1, -1))
  const required = ['@method', '@target-uri', ...(body.length > 0 ? ['content-digest'] : [])]
  if (!required.every((name) => covered.includes(name))) return 'does not cover enough'

  const values = { ...headers, '@method': method, '@target-uri': url }
  const lines = covered.map((name) => `"${name}": ${values[name]}`)
  const base = [...lines, `"@signature-params": ${parameters}`].join('\n')
  const expected = createHmac('sha256', secret).update(base).digest()
  if (!timingSafeEqual(expected, Buffer.from(signature[1], 'base64'))) return 'signature does not match'

  const digest = `sha-256=:${createHash('sha256').update(body).digest('base64')}:`
  if (covered.includes('content-digest') && headers['content-digest'] !== digest) return 'another body'
  if (Number(created) > now + CLOCK_SKEW_SECONDS || Number(expires) + CLOCK_SKEW_SECONDS <= now) return 'not its time'
  for (const [used, end] of seen) {
    if (end + CLOCK_SKEW_SECONDS > now) break
    seen.delete(used)
  }
  if (seen.has(nonce)) return 'sent before'
  seen.set(nonce, Number(expires))
  return undefined
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const origin = new URL(env.ORIGIN_URL)
  const seen = new Map()
  const respond = async (request, response) => {
    const body = await buffer(request)
    const { method, headers } = request
    const objection = objectionTo({ method, url: origin.origin + request.url, headers, body }, env.ORIGIN_HMAC, seen)
    response.writeHead(objection ? 401 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(objection ? { error: objection } : { ok: true, bytes: body.length }))
  }
  const server = createServer((request, response) => void respond(request, response))
  server.listen(Number(origin.port), origin.hostname, () => console.log(`listening on ${origin.origin}`))
}
