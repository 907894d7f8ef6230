import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startGateway, type RunningGateway } from '../support/gateway.ts'
import { listen } from '../support/listen.ts'

const EXAMPLES = join(import.meta.dirname, '../../docs/examples')
const SECRET = 'a secret of the gateway and its origins'
const ACME = 'a secret that acme and the gateway share'
const hasPython = spawnSync('python3', ['--version']).status === 0
const hasFastApi = spawnSync('python3', ['-c', 'import fastapi, uvicorn']).status === 0

interface Captured {
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string>
  readonly body: string
}
interface Verifier {
  readonly objectionTo: (
    request: Omit<Captured, 'body'> & { body: Buffer },
    secret: string,
    seen: Map<string, number>,
    now?: number,
  ) => string | undefined
}

const children: ChildProcess[] = []
let gateway: RunningGateway
let captured: Captured
const urls: Record<string, string> = {}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function startOrigin(name: string, command: string, makeArguments: (port: string) => string[]): Promise<void> {
  const port = String(await freePort())
  urls[name] = `http://127.0.0.1:${port}`
  const child = spawn(command, makeArguments(port), {
    env: { ...process.env, ORIGIN_HMAC: SECRET, ORIGIN_URL: urls[name] },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  await Promise.race(
    [child.stdout, child.stderr].map(async (stream) => {
      for await (const line of createInterface({ input: stream })) if (/listening|running on/i.test(line)) return
      throw new Error(`${name} ended before it listened`)
    }),
  )
}

const sign = { keyid: 'gw', alg: 'hmac-sha256', secret: { $secret: 'ORIGIN_HMAC' } }

beforeAll(async () => {
  await startOrigin('node', process.execPath, () => [join(EXAMPLES, 'signed-origin.mjs')])
  if (hasPython) await startOrigin('python', 'python3', () => [join(EXAMPLES, 'signed_origin.py')])
  if (hasFastApi)
    await startOrigin('fastapi', 'python3', (port) => [
      '-m',
      'uvicorn',
      'fastapi_origin:app',
      '--app-dir',
      EXAMPLES,
      '--port',
      port,
    ])
  const echo = await listen(
    createServer((request, response) => {
      void buffer(request).then((bytes) => {
        const { method, url, headers } = request
        captured = {
          method: method!,
          url: `${urls.echo}${url}`,
          headers: headers as Record<string, string>,
          body: bytes.toString(),
        }
        response.end('{}')
      })
    }),
  )
  urls.echo = echo.url
  const upstreams = Object.fromEntries(Object.entries(urls).map(([name, url]) => [name, { targets: [{ url }], sign }]))
  gateway = await startGateway({
    routes: {
      authProviders: {
        partners: {
          type: 'httpSignature',
          keys: [{ keyid: 'acme', alg: 'hmac-sha256', secret: { $secret: 'ACME_HMAC' } }],
        },
      },
      upstreams: {
        ...upstreams,
        keyless: { targets: [{ url: urls.node }], sign: { ...sign, secret: { $secret: 'UNSET_HMAC' } } },
      },
      routes: [
        ...[...Object.keys(upstreams), 'keyless'].map((name) => ({
          id: name,
          match: { path: `/${name}/*` },
          upstream: name,
        })),
        {
          id: 'partners',
          match: { path: '/partners' },
          upstream: 'node',
          policies: { auth: { providers: ['partners'] } },
        },
      ],
    },
    env: { ORIGIN_HMAC: SECRET, ACME_HMAC: ACME },
  })
})

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await gateway?.kill()
})

const post = (url: string, body: string) =>
  fetch(url, {
    method: 'POST',
    body,
    headers: { signature: 'sig1=:AA==:', signature_input: 'x', 'content-digest': 'sha-256=:AA==:' },
  })

describe.each([
  ['node', true],
  ['python', hasPython],
  ['fastapi', hasFastApi],
])('the %s example', (name, available) => {
  it.skipIf(!available)('answers through the gateway', async () => {
    // ASGI does not tell a query that is empty from none.
    const paths = ['', '/a%20b/~c?q=1&r=%22', "/x?a='b'&c=d|e", ...(name === 'fastapi' ? [] : ['/x?'])]
    for (const path of paths) {
      const got = await fetch(`${gateway.url}/${name}${path}`)
      expect([path, got.status, await got.json()]).toEqual([path, 200, { ok: true, bytes: 0 }])
      const posted = await post(`${gateway.url}/${name}${path}`, '{"id": 1}')
      expect([path, posted.status, await posted.json()]).toEqual([path, 200, { ok: true, bytes: 9 }])
    }
  })

  it.skipIf(!available)('refuses whoever goes round it', async () => {
    const around = await fetch(`${urls[name]}/${name}`)
    expect([around.status, await around.json()]).toEqual([401, { error: 'not signed' }])
    const forged = await fetch(`${urls[name]}/${name}`, { headers: { signature: 'sig1=:AA==:' } })
    expect(forged.status).toBe(401)
  })
})

/** [what, request, time in seconds from now, verdict]; judged in this order, by one verifier. */
async function makeCases(): Promise<[string, Captured, number, string | undefined][]> {
  const capture = async () => {
    await post(`${gateway.url}/echo/orders?id=1`, '{"id": 1}')
    return captured
  }
  const first = await capture()
  const second = await capture()
  const edit = (name: string, change: (value: string) => string): Captured => ({
    ...second,
    headers: { ...second.headers, [name]: change(second.headers[name]!) },
  })
  const other = 'signature does not match'
  return [
    ['as it came', first, 0, undefined],
    ['again', first, 0, 'sent before'],
    ['another method', { ...second, method: 'PUT' }, 0, other],
    ['another path', { ...second, url: second.url.replace('orders', 'refund') }, 0, other],
    ['another query', { ...second, url: second.url.replace('id=1', 'id=2') }, 0, other],
    ['another body', { ...second, body: '{"id": 2}' }, 0, 'another body'],
    ['another digest', edit('content-digest', (value) => value.replace(/.=:$/, 'A=:')), 0, other],
    ['a longer life', edit('signature-input', (value) => value.replace(/expires=\d/, 'expires=9')), 0, other],
    [
      'fewer components',
      edit('signature-input', (value) => value.replace(' "content-digest"', '')),
      0,
      'does not cover enough',
    ],
    ['two spellings', edit('signature-input', (value) => `${value}, ${value}`), 0, 'not signed'],
    ['too late', second, 120, 'not its time'],
    ['too early', second, -120, 'not its time'],
    ['in time', second, 0, undefined],
  ]
}

it('the verifier in Node takes what was signed, once, and nothing else', async () => {
  const { objectionTo } = (await import(join(EXAMPLES, 'signed-origin.mjs'))) as Verifier
  const seen = new Map<string, number>()
  for (const [what, request, seconds, verdict] of await makeCases()) {
    const body = Buffer.from(request.body)
    expect([what, objectionTo({ ...request, body }, SECRET, seen, Date.now() / 1000 + seconds)]).toEqual([
      what,
      verdict,
    ])
  }
})

it.skipIf(!hasPython)('the verifier in Python says the same', async () => {
  const cases = await makeCases()
  const program = `
import json, sys, time
sys.path.insert(0, sys.argv[1])
from signed_origin import objection_to
seen = {}
print(json.dumps([
    objection_to(r["method"], r["url"], r["headers"], r["body"].encode(), sys.argv[2].encode(), seen, time.time() + s)
    for _, r, s, *_ in json.load(sys.stdin)
]))`
  const { stdout, stderr } = spawnSync('python3', ['-B', '-c', program, EXAMPLES, SECRET], {
    input: JSON.stringify(cases),
  })
  expect(stderr.toString()).toBe('')
  const verdicts = JSON.parse(stdout.toString()) as (string | null)[]
  expect(cases.map(([what], i) => [what, verdicts[i] ?? undefined])).toEqual(
    cases.map(([what, , , verdict]) => [what, verdict]),
  )
})

it.skipIf(!hasPython)('the middleware in Python sees a second line of a field that is covered', () => {
  const program = `
import asyncio, base64, hashlib, hmac, json, sys, time
sys.path.insert(0, sys.argv[1])
from signed_origin import SignedOnly
now = int(time.time())

def ask(nonce, *more):
    parameters = f'("@method" "@target-uri" "x-who");created={now};expires={now + 60};nonce="{nonce}";keyid="gw";alg="hmac-sha256"'
    base = f'"@method": GET\\n"@target-uri": http://o.test/a\\n"x-who": ada\\n"@signature-params": {parameters}'
    signature = base64.b64encode(hmac.new(b"secret", base.encode(), hashlib.sha256).digest())
    headers = [*more, (b"x-who", b"ada"), (b"signature-input", b"sig1=" + parameters.encode()), (b"signature", b"sig1=:" + signature + b":")]
    scope = {"type": "http", "method": "GET", "query_string": b"", "raw_path": b"/a", "headers": headers}
    sent = []
    async def receive(): return {"body": b""}
    async def send(message): sent.append(message.get("status"))
    async def app(scope, receive, send): await send({"type": "http.response.start", "status": 200})
    asyncio.run(SignedOnly(app, "http://o.test", "secret")(scope, receive, send))
    return sent[0]

print(json.dumps([ask("one"), ask("two", (b"X-Who", b"root"))]))`
  const { stdout, stderr } = spawnSync('python3', ['-B', '-c', program, EXAMPLES])
  expect([stderr.toString(), stdout.toString().trim()]).toEqual(['', '[200, 401]'])
})

it('sends nothing unsigned when the key is missing', async () => {
  const answer = await fetch(`${gateway.url}/keyless`)
  expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([503, 'not-configured'])
})

it('takes what the example of a client signs, once', async () => {
  const { signRequest } = (await import(join(EXAMPLES, 'sign-request.mjs'))) as {
    signRequest: (request: Record<string, string | undefined>) => Record<string, string>
  }
  const url = `${gateway.url}/partners?a=1`
  for (const body of [undefined, '{"id": 1}']) {
    const method = body === undefined ? 'GET' : 'POST'
    const init = {
      method,
      headers: signRequest({ keyid: 'acme', secret: ACME, method, url, body }),
      ...(body && { body }),
    }
    const codes: unknown[] = []
    for (let i = 0; i < 2; i++) {
      const answer = await fetch(url, init)
      codes.push(answer.status, ((await answer.json()) as { code?: string }).code)
    }
    expect(codes).toEqual([200, undefined, 401, 'signature-replayed'])
  }
  const unsigned = await fetch(url)
  expect([unsigned.status, unsigned.headers.get('www-authenticate')]).toEqual([401, 'Signature realm="api"'])
})
