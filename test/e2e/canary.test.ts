import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startGatewayProcess } from '../../deploy/gateway.ts'
import { makeCanary, startSink } from '../support/canary.ts'
import { listen } from '../support/listen.ts'
import { runWorker } from '../support/run-worker.ts'

const canary = makeCanary()
const ENV = {
  PARTNER_SECRET: canary.mark('partner'),
  INTROSPECTION_SECRET: canary.mark('introspection'),
  CALLER_SECRET: canary.mark('caller'),
  ORIGIN_SECRET: canary.mark('origin'),
  UMBRAL_BOOTSTRAP_TOKEN: canary.mark('bootstrap'),
  UPSTASH_REDIS_REST_URL: 'http://127.0.0.1:1',
  UPSTASH_REDIS_REST_TOKEN: canary.mark('redis'),
  OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer ${canary.mark('collector')}`,
  OTEL_TRACES_SAMPLER_ARG: '1',
  LOG_LEVEL: 'debug',
}
const DSN_KEY = canary.mark('sentry')
const PASSWORD = canary.mark('password')
const WRONG = canary.mark('wrong-password')
const COOKIE = canary.mark('cookie')
const QUERY = canary.mark('query')

/** All that left the gateway, but for what went to origins, by where it was seen. */
const seen: Record<string, string> = { answers: '' }
const stops: (() => unknown)[] = []
let url: string

/** Fails with what it was told: the credentials themselves. */
const indiscreet = createServer((request, response) => {
  response.writeHead(500, { 'content-type': 'text/plain' }).end(JSON.stringify(request.headers))
})
const silent = createServer((_, response) => void response.end('{}'))

beforeAll(async () => {
  const [otlp, sentry] = [await startSink(), await startSink()]
  const [issuer, origin] = [await listen(indiscreet), await listen(silent)]
  const folder = mkdtempSync(join(tmpdir(), 'umbral-canary-'))
  const routes = join(folder, 'routes.json')
  writeFileSync(routes, JSON.stringify(routesFile(issuer.url, origin.url)))
  const env = {
    ...ENV,
    OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url,
    SENTRY_DSN: `http://${DSN_KEY}@127.0.0.1:${sentry.port}/42`,
  }
  const warn = (line: string) => void (seen.warnings = (seen.warnings ?? '') + line)
  const gateway = await startGatewayProcess({
    routes,
    ip: '127.0.0.1',
    port: 0,
    stateDir: folder,
    env,
    stdout: 'pipe',
    warn,
  })
  url = gateway.url
  seen.output = ''
  for (const stream of [gateway.stdout!, gateway.stderr])
    stream.on('data', (chunk: Buffer) => (seen.output += chunk.toString()))
  // What the gateway says of an error that it did not expect, which none of its routes can be made to have.
  const failing = await runWorker(join(import.meta.dirname, '../telemetry/worker.ts'), { variables: env })
  stops.push(async () => {
    const answers = seen.answers!.split('\n').length - 1
    const serverSpans = () => otlp.bodies().split('"kind":2').length - 1
    // One more when the failing Worker, which exports to the same receiver, was quicker.
    await expect.poll(serverSpans, { timeout: 10_000 }).toBeGreaterThanOrEqual(answers)
    await expect.poll(() => sentry.bodies().length, { timeout: 10_000 }).toBeGreaterThan(300)
    await gateway.stop()
    rmSync(folder, { recursive: true })
    seen.spans = otlp.bodies()
    // Sentry's own key belongs into its envelopes.
    seen.envelopes = sentry.bodies().replaceAll(DSN_KEY, '')
    seen.errors = failing.output()
    await Promise.all([failing, otlp, sentry, issuer, origin].map(({ stop }) => stop()))
  })
  const secretive = { authorization: `Bearer ${WRONG}`, cookie: `sid=${COOKIE}`, 'x-api-key': WRONG }
  await fetch(`${failing.url}/throws?code=${QUERY}`, { headers: secretive })
})

const stopAll = async () => {
  for (const stop of stops.splice(0)) await stop()
}
afterAll(stopAll)

function routesFile(issuer: string, origin: string): object {
  const jwt = { type: 'jwt', audience: 'api' }
  const limit = (name: string, more: object) => ({
    name,
    algorithm: 'fixed-window',
    limit: 1_000,
    window: '60s',
    key: ['client.ip'],
    ...more,
  })
  const sign = { keyid: 'gateway', alg: 'hmac-sha256', secret: { $secret: 'ORIGIN_SECRET' } }
  const own = { path: '/me', methods: ['GET'] }
  const guarded = (id: string, provider: string) => ({
    id,
    match: { path: `/${id}` },
    upstream: 'origin',
    policies: { auth: { providers: [provider] } },
  })
  return {
    version: 1,
    authProviders: {
      own: { ...jwt, issuer: 'https://gw.test/', algorithms: ['ES256'], keys: 'self' },
      partner: { ...jwt, issuer: 'partner', algorithms: ['HS256'], secret: { $secret: 'PARTNER_SECRET' } },
      keys: { type: 'apiKey' },
      opaque: { type: 'introspection', url: issuer, clientId: 'gw', clientSecret: { $secret: 'INTROSPECTION_SECRET' } },
      signed: {
        type: 'httpSignature',
        keys: [{ alg: 'hmac-sha256', keyid: 'c', secret: { $secret: 'CALLER_SECRET' } }],
      },
    },
    upstreams: {
      origin: { targets: [{ url: origin }], sign },
      dead: { targets: [{ url: 'http://127.0.0.1:1' }], sign },
    },
    routes: [
      { id: 'health', match: { path: '/health' }, builtin: 'health' },
      { id: 'bootstrap', match: { methods: ['POST'], path: '/bootstrap' }, builtin: 'bootstrap' },
      {
        id: 'admin',
        match: { path: '/admin/*' },
        builtin: 'admin',
        policies: { auth: { providers: ['own'], roles: ['admin'] } },
      },
      {
        id: 'token',
        match: { path: '/token' },
        builtin: 'token',
        policies: { rateLimit: [limit('logins', { before: 'auth', consistency: 'local' })] },
      },
      ...['revoke', 'introspect', 'jwks'].map((name) => ({ id: name, match: { path: `/${name}` }, builtin: name })),
      { id: 'me', match: own, builtin: 'userinfo', policies: { auth: { providers: ['own'] } } },
      ...['partner', 'keys', 'opaque', 'signed'].map((name) => guarded(name, name)),
      { id: 'dead', match: { path: '/dead' }, upstream: 'dead' },
      {
        id: 'limited',
        match: { path: '/limited' },
        upstream: 'origin',
        policies: { rateLimit: [limit('strict', { consistency: 'strict' })] },
      },
    ],
  }
}

/** One answer, kept for the search but for what it was asked to give: `given` names those members, and they are watched for from then on. */
async function ask(
  path: string,
  init: RequestInit = {},
  given: readonly string[] = [],
): Promise<Record<string, string>> {
  const headers = { cookie: `sid=${COOKIE}`, 'x-forwarded-for': WRONG, ...(init.headers as object) }
  const response = await fetch(`${url}${path}${path.includes('?') ? '' : `?code=${QUERY}`}`, {
    redirect: 'manual',
    ...init,
    headers,
  })
  let text = await response.text()
  const body = text.startsWith('{') ? (JSON.parse(text) as Record<string, string>) : {}
  for (const member of given) {
    const secret = body[member]
    if (typeof secret !== 'string') throw new Error(`${path} gave no ${member}: ${response.status} ${text}`)
    text = text.replaceAll(secret, '')
    canary.watch(`${member} of ${path}`, secret)
  }
  seen.answers += `${path} ${response.status} ${JSON.stringify([...response.headers])} ${text}\n`
  return { ...body, httpStatus: String(response.status) }
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const form = (fields: Record<string, string>): RequestInit => ({ method: 'POST', body: new URLSearchParams(fields) })
const json = (body: unknown, token = ''): RequestInit => ({
  method: 'POST',
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/json', ...bearer(token) },
})

async function logIn(): Promise<string> {
  await ask('/bootstrap', json({ username: 'root', password: PASSWORD }, WRONG))
  await ask('/bootstrap', json({ username: 'root', password: PASSWORD }, ENV.UMBRAL_BOOTSTRAP_TOKEN))
  await ask('/bootstrap', json({ username: 'root', password: PASSWORD }, ENV.UMBRAL_BOOTSTRAP_TOKEN))
  for (const username of ['root', 'nobody']) await ask('/token', form({ username, password: WRONG }))
  await ask('/token', { headers: bearer(PASSWORD) })
  const login = form({ username: 'root', password: PASSWORD, scope: 'offline_access' })
  const { access_token: token, refresh_token: refresh } = await ask('/token', login, ['access_token', 'refresh_token'])
  const renew = form({ grant_type: 'refresh_token', refresh_token: refresh! })
  await ask('/token', renew, ['access_token', 'refresh_token'])
  await ask('/token', renew)
  await ask('/introspect', form({ token: token! }))
  return (await ask('/token', form({ username: 'root', password: PASSWORD }), ['access_token'])).access_token!
}

async function administer(token: string): Promise<string> {
  await ask('/admin/users', json({ username: 'ada', password: PASSWORD }, token))
  await ask('/admin/users', json({ username: 'ada', password: PASSWORD, passwort: WRONG }, token))
  await ask('/admin/users', { ...json({}, token), body: `{"password":"${WRONG}` })
  const client = json({ client_id: 'shop', grants: ['client_credentials'] }, token)
  const { client_secret: secret } = await ask('/admin/clients', client, ['client_secret'])
  for (const password of [secret!, WRONG]) {
    const authorization = `Basic ${Buffer.from(`shop:${password}`).toString('base64')}`
    await ask(
      '/token',
      { ...form({ grant_type: 'client_credentials' }), headers: { authorization } },
      password === secret ? ['access_token'] : [],
    )
  }
  const { key } = await ask('/admin/keys', json({ owner: 'ada' }, token), ['key'])
  await ask('/admin/revocations', json({ jti: 'x', until: 'never' }, token))
  const pages = [
    'users',
    'users/ada',
    'clients',
    'keys',
    'revocations',
    'audit',
    'sessions',
    'signing-keys',
    'breakers',
    'targets',
    'x',
  ]
  for (const page of pages) {
    await ask(`/admin/${page}`, { headers: bearer(token) })
    expect((await ask(`/admin/${page}?`, { headers: bearer(token) })).httpStatus).toMatch(/200|404|405/)
  }
  return key!
}

async function callOrigins(token: string, key: string): Promise<void> {
  const partner = await new SignJWT({ iss: 'partner', aud: 'api', exp: 9_999_999_999 })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(ENV.PARTNER_SECRET))
  canary.watch('partner token', partner)
  for (const one of [partner, `${partner}x`, token, WRONG])
    for (const path of ['partner', 'opaque', 'me', 'admin/users']) await ask(`/${path}`, { headers: bearer(one) })
  for (const one of [key, WRONG]) await ask('/keys', { headers: { 'x-api-key': one } })
  const signature = {
    'signature-input': 's=("@method");keyid="c";created=1',
    signature: `s=:${Buffer.from(WRONG).toString('base64')}:`,
  }
  for (const path of ['signed', 'dead', 'limited', 'health', 'jwks', 'nowhere', 'a%00b'])
    await ask(`/${path}`, { headers: signature })
  await ask('/revoke', form({ token }))
  await ask('/me', { headers: bearer(token) })
}

it('no secret of the environment or of a caller leaves the gateway, but where it belongs', async () => {
  const token = await logIn()
  const key = await administer(token)
  await callOrigins(token, key)
  await stopAll()
  const statuses = new Set([...seen.answers!.matchAll(/^\S+ (\d+)/gm)].map(([, status]) => status))
  expect([...statuses].toSorted()).toEqual(
    expect.arrayContaining(['200', '201', '400', '401', '404', '405', '502', '503']),
  )
  for (const where of ['answers', 'output', 'spans', 'envelopes', 'errors']) {
    expect(seen[where]!.length, where).toBeGreaterThan(300)
    const lines = seen[where]!.split('\n').filter((line) => canary.foundIn(line).length > 0)
    expect(lines.map((line) => [where, canary.foundIn(line), line.slice(0, 60)])).toEqual([])
  }
  // That it would be found.
  expect(canary.foundIn(Buffer.from(`..${PASSWORD}..`).toString('base64'))).toEqual(['password'])
})
