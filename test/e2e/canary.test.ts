import { SignJWT, type JWTPayload } from 'jose'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { makeCanary } from '../support/canary.ts'
import { startScene, stopAll, type Scene } from './canary-scene.ts'

type SignRequest = (request: Record<'keyid' | 'secret' | 'method' | 'url', string>) => Record<string, string>
const example = join(import.meta.dirname, '../../docs/examples/sign-request.mjs')
const { signRequest } = (await import(example)) as { signRequest: SignRequest }

const canary = makeCanary()
const [PASSWORD, WRONG, COOKIE, QUERY] = ['password', 'wrong_password', 'cookie', 'query'].map(canary.mark) as [
  string,
  string,
  string,
  string,
]
const stops: (() => unknown)[] = []
let scene: Scene
let answers = ''

beforeAll(async () => {
  scene = await startScene(canary, stops)
})
afterAll(() => stopAll(stops))

/** One answer, kept for the search but for what it was asked to give: `given` names those members, and they are watched for from then on. */
async function ask(
  path: string,
  init: RequestInit = {},
  given: readonly string[] = [],
): Promise<Record<string, string>> {
  const headers = { cookie: `sid=${COOKIE}`, 'x-forwarded-for': WRONG, ...(init.headers as object) }
  const response = await fetch(`${scene.url}${path}${path.includes('?') ? '' : `?code=${QUERY}`}`, {
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
  answers += `${path.split('?')[0]} ${response.status} ${JSON.stringify([...response.headers])} ${text}\n`
  return { ...body, httpStatus: String(response.status) }
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const form = (fields: Record<string, string>): RequestInit => ({ method: 'POST', body: new URLSearchParams(fields) })
const json = (body: unknown, token = '', method = 'POST'): RequestInit => ({
  method,
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/json', ...bearer(token) },
})

async function logIn(): Promise<string> {
  const bootstrap = scene.secrets.UMBRAL_BOOTSTRAP_TOKEN
  for (const token of [WRONG, bootstrap, bootstrap])
    await ask('/bootstrap', json({ username: 'root', password: PASSWORD }, token))
  for (const username of ['root', 'nobody']) await ask('/token', form({ username, password: WRONG }))
  await ask('/token', { headers: bearer(PASSWORD) })
  await ask('/token', json({ username: 'root', password: PASSWORD }))
  await ask('/token', form({ grant_type: PASSWORD, username: 'root', password: PASSWORD }))
  const login = form({ username: 'root', password: PASSWORD, scope: 'offline_access' })
  const { access_token: token, refresh_token: refresh } = await ask('/token', login, ['access_token', 'refresh_token'])
  const renew = form({ grant_type: 'refresh_token', refresh_token: refresh! })
  const { refresh_token: next } = await ask('/token', renew, ['access_token', 'refresh_token'])
  await ask('/introspect', form({ token: next! }))
  // Used a second time: the whole family dies.
  await ask('/token', renew)
  await ask('/token', form({ grant_type: 'refresh_token', refresh_token: next! }))
  await ask('/revoke', form({ token: next! }))
  await ask('/introspect', form({ token: token! }))
  return (await ask('/token', form({ username: 'root', password: PASSWORD }), ['access_token'])).access_token!
}

const PAGES = [
  'users',
  'users/ada',
  'clients',
  'clients/shop',
  'keys',
  'revocations',
  'audit',
  'sessions',
  'signing-keys',
  'breakers',
  'targets',
  'x',
]

async function administer(token: string): Promise<string> {
  const change = (method: string, path: string, body: unknown, given: string[] = []) =>
    ask(`/admin/${path}`, json(body, token, method), given)
  await change('POST', 'users', { username: 'ada', password: PASSWORD })
  await change('POST', 'users', { username: 'ada', password: PASSWORD, passwort: WRONG })
  await change('POST', 'users', { username: 'bob', password: WRONG.slice(0, 11), email: 'none' })
  await change('PATCH', 'users/ada', { password: `${PASSWORD}2` })
  await change('PATCH', 'users/ada', { roles: [WRONG, 7] })
  await ask('/admin/users', { ...json({}, token), body: `{"password":"${WRONG}` })
  await ask('/admin/users', { ...json({}, token), headers: { ...bearer(token), 'content-type': WRONG } })
  const shop = { client_id: 'shop', grants: ['client_credentials'] }
  const { client_secret: first } = await change('POST', 'clients', shop, ['client_secret'])
  const { client_secret: secret } = await change('PATCH', 'clients/shop', { new_secret: true }, ['client_secret'])
  for (const password of [first!, secret!, WRONG]) {
    const authorization = `Basic ${Buffer.from(`shop:${password}`).toString('base64')}`
    const init = { ...form({ grant_type: 'client_credentials' }), headers: { authorization } }
    await ask('/token', init, password === secret ? ['access_token'] : [])
  }
  const { key } = await change('POST', 'keys', { owner: 'ada' }, ['key'])
  await change('POST', 'revocations', { jti: 'x', until: 'never' })
  for (const forced of [WRONG, 'open', null]) await change('PUT', 'breakers/origin', { forced })
  await change('PUT', 'targets/origin', { target: 'nowhere', drained: true })
  for (const page of PAGES) {
    await ask(`/admin/${page}`, { headers: bearer(token) })
    expect((await ask(`/admin/${page}?`, { headers: bearer(token) })).httpStatus).toMatch(/200|404|405/)
  }
  return key!
}

async function callOrigins(token: string, key: string): Promise<void> {
  const claims = { iss: 'partner', aud: 'api', sub: 'ada', exp: 9_999_999_999 }
  const signing = new SignJWT(claims).setProtectedHeader({ alg: 'HS256' })
  const partner = await signing.sign(new TextEncoder().encode(scene.secrets.PARTNER))
  const published = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${Buffer.from('{"iss":"published"}').toString('base64url')}.AAAA`
  canary.watch('partner token', partner)
  const bearers = ['partner', 'published', 'opaque', 'late', 'unset', 'any', 'scoped', 'edited', 'userinfo']
  for (const one of [partner, `${partner}x`, `${partner} ${WRONG}`, token, published, WRONG])
    for (const path of [...bearers, 'admin/users']) await ask(`/${path}`, { headers: bearer(one) })
  for (const one of [key, `umb_${'0'.repeat(43)}`, WRONG])
    for (const path of ['keys', 'any', 'all'])
      await ask(`/${path}`, { headers: { 'x-api-key': one, ...bearer(partner) } })
  const signature = {
    'signature-input': 's=("@method");keyid="c";created=1',
    signature: `s=:${Buffer.from(WRONG).toString('base64')}:`,
  }
  for (const path of [...scene.routeIds.filter((id) => id !== 'moved'), 'nowhere', 'a%00b', 'moved?', 'spent'])
    await ask(`/${path}`, { headers: { ...signature, origin: 'https://evil.example' } })
  await ask('/signed', { headers: { ...signature, 'signature-input': WRONG } })
  await ask('/small', { method: 'POST', body: PASSWORD })
  await ask('/shared', { method: 'OPTIONS', headers: { origin: 'https://evil.example' } })
  await ask('/revoke', form({ token }))
  await ask('/userinfo', { headers: bearer(token) })
}

/** Tokens of the right issuer that are not good, signatures that are and are not, and what is refused before any route. */
async function abuse(): Promise<void> {
  const { PARTNER, CALLER } = scene.secrets
  const odd = [{ exp: 1 }, { aud: 'other' }, { nbf: 9_999_999_999 }, { sub: 7 }, { iss: 'other' }]
  for (const claims of odd) {
    const token = new SignJWT({ iss: 'partner', aud: 'api', exp: 9_999_999_999, jti: QUERY, ...claims } as JWTPayload)
    const signed = await token.setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(PARTNER))
    await ask('/partner', { headers: bearer(signed) })
  }
  await ask('/partner', {
    headers: bearer(await new SignJWT({ iss: 'partner' }).setProtectedHeader({ alg: 'HS512' }).sign(Buffer.alloc(64))),
  })
  const url = `${scene.url}/signed?code=${QUERY}`
  for (const [keyid, secret] of [
    ['c', CALLER],
    ['c', WRONG],
    [WRONG, CALLER],
  ] as const) {
    const headers = signRequest({ keyid, secret, method: 'GET', url })
    for (let times = 0; times < 2; times++) await ask('/signed', { headers })
  }
  const preflight = { origin: `https://${COOKIE}.example`, 'access-control-request-method': 'GET' }
  await ask('/shared', { method: 'OPTIONS', headers: preflight })
  await ask(`/said?${QUERY.repeat(300)}`)
  await ask('/said', { headers: { 'x-long': WRONG.repeat(900) } })
  await ask('/said', { headers: { transfer_encoding: WRONG } })
  await ask('/token', {
    ...form({ username: 'root', password: PASSWORD }),
    headers: { authorization: `Basic ${WRONG}` },
  })
  await ask('/token', form({ username: 'root', password: PASSWORD, scope: 'never' }))
  await ask('/any')
  for (let times = 0; times < 20; times++) await ask('/dead')
}

/** What the gateway says when nobody takes what it reports, and of an error that it did not expect. */
async function fail(): Promise<void> {
  const headers = { ...bearer(WRONG), cookie: `sid=${COOKIE}`, 'x-api-key': WRONG }
  await fetch(`${scene.failing.url}/throws?code=${QUERY}`, { headers })
  for (const path of ['partner', 'opaque', 'dead', 'nowhere'])
    await (await fetch(`${scene.darkUrl}/${path}?code=${QUERY}`, { headers })).text()
}

it('no secret of the environment or of a caller leaves the gateway, but where it belongs', async () => {
  await fail()
  const token = await logIn()
  await callOrigins(token, await administer(token))
  await abuse()

  const serverSpans = () => scene.seen().spans.split('"kind":2').length - 1
  // One more when the failing Worker, which exports to the same receiver, was quicker.
  await expect.poll(serverSpans, { timeout: 10_000 }).toBeGreaterThanOrEqual(answers.split('\n').length - 1)
  await expect.poll(() => scene.seen().envelopes.length, { timeout: 10_000 }).toBeGreaterThan(300)
  await expect.poll(() => scene.seen().dark.split('"event":"request"').length, { timeout: 10_000 }).toBe(5)

  const seen: Record<string, string> = { answers, ...scene.seen() }
  for (const [where, text] of Object.entries(seen)) {
    expect(text.length, where).toBeGreaterThan(300)
    const lines = text.split('\n').filter((line) => canary.foundIn(line).length > 0)
    expect(lines.map((line) => [where, canary.foundIn(line), line.slice(0, 60)])).toEqual([])
  }
  // That it would be found.
  expect(canary.foundIn(Buffer.from(`..${PASSWORD}..`).toString('base64'))).toEqual(['password'])
})

it('was looked for on every route, and in refusals of every kind', () => {
  const { output } = scene.seen()
  const routes = new Set([...output.matchAll(/"route":"([\w-]+)"/g)].map(([, id]) => id))
  expect(scene.routeIds.filter((id) => !routes.has(id))).toEqual([])
  const codes = new Set([...answers.matchAll(/"code":"([a-z-]+)"/g)].map(([, code]) => code))
  expect(codes.size).toBeGreaterThan(40)
  const statuses = new Set([...answers.matchAll(/^\S+ (\d+)/gm)].map(([, status]) => status))
  for (const status of '200 201 308 400 401 403 404 405 413 415 429 502 503 504'.split(' '))
    expect([...statuses]).toContain(status)
})

it('leaves nothing behind when a step of its end fails', async () => {
  const ended: string[] = []
  const steps = ['gateway', 'flush', 'folder'].map((name) => async () => {
    ended.push(name)
    if (name === 'flush') throw new Error('cannot be flushed')
  })
  await expect(stopAll(steps)).rejects.toThrow('cannot be flushed')
  expect(ended).toEqual(['folder', 'flush', 'gateway'])
})
