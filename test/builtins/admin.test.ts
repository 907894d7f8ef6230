import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Platform } from '../../src/core/platform.ts'
import { ISSUER, JWKS_URL, makeIssuer, makeKey, sign } from '../auth/issuer.ts'
import { makeTestGateway } from '../support/gateway-in-workerd.ts'
import { originUrl } from '../support/platform.ts'

const jwt = { type: 'jwt', issuer: ISSUER, audience: 'api', algorithms: ['ES256'], jwksUri: JWKS_URL }
const key = await makeKey('k1')
const issuer = makeIssuer(key)
const bearerOf = async (roles: string[]) => ({ authorization: `Bearer ${await sign(key, { roles })}` })
const operator = await bearerOf(['admin'])

const ENDPOINTS = [
  'breakers',
  'breakers/{upstream}',
  'targets',
  'targets/{upstream}',
  'users',
  'users/{username}',
  'clients',
  'clients/{client_id}',
  'keys',
  'keys/{id}',
  'sessions',
  'sessions/{id}',
  'revocations',
  'signing-keys',
  'cache/purge',
  'audit',
]

let nth = 0

/** A deployment whose upstreams nobody else has: `isolate()` is the view of one more isolate on it, whose file may say some of them differently. */
function deploy(parts: Partial<Platform> = {}, adminPolicies: object = {}) {
  nth++
  const name = (part: string) => `${part}-${nth}`
  const label = (prefix: string) => `${new URL(originUrl).host}/${prefix}`
  const routesFile = {
    authProviders: { main: jwt },
    upstreams: {
      [name('orders')]: { targets: [{ url: originUrl }], circuitBreaker: {} },
      [name('users')]: { targets: [{ url: `${originUrl}/a` }, { url: `${originUrl}/b` }] },
    },
    routes: [
      { id: 'orders', match: { path: '/orders' }, upstream: name('orders') },
      { id: 'users', match: { path: '/users' }, upstream: name('users') },
      {
        id: 'admin',
        match: { path: '/ops/admin/*' },
        builtin: 'admin',
        policies: { auth: { providers: ['main'], roles: ['admin'] }, ...adminPolicies },
      },
    ],
  }
  const platform: Partial<Platform> = {
    hasAdmin: true,
    variable: (variable) => (variable === 'LOG_LEVEL' ? 'silent' : undefined),
    fetch: (url, init) => (url === JWKS_URL ? issuer.fetch(url, init) : fetch(url, init)),
    ...parts,
  }
  const isolate = (changed: object = {}) => {
    const gateway = makeTestGateway({ ...routesFile, upstreams: { ...routesFile.upstreams, ...changed } }, platform)
    const admin = (path: string, init: RequestInit = {}) =>
      gateway.fetch(`/ops/admin${path}`, { ...init, headers: { ...operator, ...(init.headers as object) } })
    const put = (path: string, body: unknown, headers: object = {}) =>
      admin(path, {
        method: 'PUT',
        body: typeof body === 'string' ? body : JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
      })
    return { ...gateway, admin, put }
  }
  return { isolate, orders: name('orders'), users: name('users'), label }
}

/** Asks again and again for at most two seconds, until `isSo` says that it has come to it. */
async function soon<T>(ask: () => Promise<T>, isSo: (found: T) => boolean): Promise<T> {
  const until = Date.now() + 2_000
  for (;;) {
    const found = await ask()
    if (isSo(found)) return found
    if (Date.now() > until) throw new Error(`still ${JSON.stringify(found)} after two seconds`)
    await scheduler.wait(50)
  }
}

const problemOf = async (response: Response) => {
  const { code, detail } = await response.json<{ code: string; detail?: string }>()
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  // Set where the code is known, so that the access log has it too.
  expect(response.headers.get('x-request-id')).not.toBeNull()
  return [response.status, code, detail]
}

afterEach(() => vi.restoreAllMocks())

describe('breakers', () => {
  it('are forced open and closed and released, for every isolate within two seconds', async () => {
    const { isolate, orders } = deploy()
    const [here, there] = [isolate(), isolate()]
    const status = async () => (await there.fetch('/orders')).status
    expect(await status()).toBe(200)
    expect(await (await here.admin(`/breakers/${orders}`)).json()).toMatchObject({ upstream: orders, forced: null })

    const forced = await here.put(`/breakers/${orders}`, { forced: 'open' })
    expect([forced.status, forced.headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect(await forced.json()).toMatchObject({ upstream: orders, forced: 'open' })
    await soon(status, (found) => found === 503)
    expect(await problemOf(await there.fetch('/orders'))).toEqual([503, 'circuit-open', undefined])
    const listed = await (await there.admin('/breakers')).json()
    expect(listed).toEqual({ breakers: [expect.objectContaining({ upstream: orders, forced: 'open' })] })

    expect(await (await here.put(`/breakers/${orders}`, { forced: null })).json()).toMatchObject({ forced: null })
    await soon(status, (found) => found === 200)
    await there.settled()
  })
})

describe('targets', () => {
  it('are drained and restored, for every isolate within two seconds', async () => {
    const { isolate, users, label } = deploy()
    const [here, there] = [isolate(), isolate()]
    const asked = async () => (await (await there.fetch('/users')).json<{ target: string }>()).target
    const askedThrice = async () => [await asked(), await asked(), await asked()].toSorted()
    await soon(askedThrice, (found) => found[0] !== found[2])

    const change = (drained: boolean) => here.put(`/targets/${users}`, { target: label('b'), drained })
    expect(await (await change(true)).json()).toMatchObject({
      upstream: users,
      targets: [
        { target: label('a'), drained: false, configured: true, weight: 1, here: { condition: 'ok', inFlight: 0 } },
        { target: label('b'), drained: true, configured: true },
      ],
    })
    await soon(askedThrice, (found) => found.every((target) => target === '/a/users'))
    for (let call = 0; call < 20; call++) expect(await asked()).toBe('/a/users')
    expect((await change(false)).status).toBe(200)
    await soon(askedThrice, (found) => found.includes('/b/users'))
    await there.settled()
  })
})

describe('what is seen of targets', () => {
  it('is what their health checks say, by region', async () => {
    const { isolate, users } = deploy()
    const healthCheck = { path: '/status/503', interval: '1s', unhealthyThreshold: 1 }
    const { fetch, admin, settled } = isolate({ [users]: { targets: [{ url: originUrl }], healthCheck } })
    const seen = async () => {
      await fetch('/users')
      return (await admin(`/targets/${users}`)).json<{ targets: { health: Record<string, { state: string }> }[] }>()
    }
    const { targets } = await soon(seen, (found) => found.targets[0]!.health.local?.state === 'unhealthy')
    const since = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    expect(targets).toMatchObject([{ health: { local: { fault: 'status 503', since } } }])
    await settled()
  })

  it('is also what was drained and has left the file since, until it is restored', async () => {
    const { isolate, users, label } = deploy()
    const one = { targets: [{ url: `${originUrl}/a` }, { url: `${originUrl}/c` }] }
    expect((await isolate().put(`/targets/${users}`, { target: label('b'), drained: true })).status).toBe(200)
    const { admin, put } = isolate({ [users]: one })
    expect(await (await admin(`/targets/${users}`)).json()).toMatchObject({
      targets: [
        { target: label('a'), configured: true },
        { target: label('c'), configured: true },
        { target: label('b'), configured: false, drained: true },
      ],
    })
    const restored = await put(`/targets/${users}`, { target: label('b'), drained: false })
    expect((await restored.json<{ targets: unknown[] }>()).targets).toHaveLength(2)
  })
})

describe('an admin route', () => {
  it('says what there is, below whatever path it has', async () => {
    const { admin } = deploy().isolate()
    for (const path of ['', '/']) expect(await (await admin(path)).json()).toEqual({ endpoints: ENDPOINTS })
    const head = await admin('', { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
  })

  it('refuses who is not of the role, and changes nothing', async () => {
    const { isolate, orders } = deploy()
    const { fetch, put, admin } = isolate()
    expect(await problemOf(await fetch('/ops/admin/breakers'))).toEqual([401, 'token-missing', undefined])
    const refused = await put(`/breakers/${orders}`, { forced: 'open' }, await bearerOf(['support']))
    expect(await problemOf(refused)).toEqual([403, 'role-missing', undefined])
    expect(await (await admin(`/breakers/${orders}`)).json()).toMatchObject({ forced: null })
  })

  it.each<[path: string, method: string, allow: string]>([
    ['', 'POST', 'GET, HEAD'],
    ['/breakers', 'PUT', 'GET, HEAD'],
    ['/breakers/x', 'DELETE', 'GET, HEAD, PUT'],
    ['/targets/x', 'POST', 'GET, HEAD, PUT'],
  ])('answers %s %s with the methods that there are', async (path, method, allow) => {
    const response = await deploy().isolate().admin(path, { method })
    expect(response.headers.get('allow')).toBe(allow)
    expect(await problemOf(response)).toEqual([405, 'method-not-allowed', undefined])
  })

  it('answers an unknown name with the nearest that there is', async () => {
    const { isolate, orders, users } = deploy()
    const { admin, put } = isolate()
    const none = (kind: string, asked: string, valid: string) =>
      `no ${kind} is called "${asked}"; did you mean "${valid}"? (expected one of "${valid}"`
    for (const response of [await admin(`/breakers/${orders}s`), await put(`/breakers/${orders}s`, { forced: null })]) {
      const [status, code, detail] = await problemOf(response)
      expect([status, code]).toEqual([404, 'admin-not-found'])
      expect(detail).toContain(none('upstream with a circuitBreaker', `${orders}s`, orders))
    }
    // It has targets, and no breaker that could be forced.
    expect(await problemOf(await put(`/breakers/${users}`, { forced: 'open' }))).toEqual([
      404,
      'admin-not-found',
      `no upstream with a circuitBreaker is called "${users}"; expected one of "${orders}"`,
    ])
    expect(await problemOf(await admin('/breaker'))).toEqual([
      404,
      'admin-not-found',
      `did you mean "breakers"? (expected one of ${ENDPOINTS.map((name) => `"${name}"`).join(', ')})`,
    ])
    expect((await problemOf(await admin('/targets/__proto__'))).slice(0, 2)).toEqual([404, 'admin-not-found'])
  })

  it('takes JSON alone, which no form of another site can send', async () => {
    const { isolate, orders } = deploy()
    const { put } = isolate()
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', ''])
      expect(await problemOf(await put(`/breakers/${orders}`, { forced: null }, { 'content-type': type }))).toEqual([
        415,
        'media-type-unsupported',
        'expected content-type: application/json',
      ])
    const charset = await put(
      `/breakers/${orders}`,
      { forced: null },
      { 'content-type': 'Application/JSON;charset=utf-8' },
    )
    expect(charset.status).toBe(200)
  })

  it.each<[what: string, body: unknown, detail: RegExp]>([
    [
      'a slip of the pen',
      { forced: 'opne' },
      /^forced: did you mean "open"\? expected "open", "closed", or null, which lets it decide again$/,
    ],
    ['nothing', {}, /^forced: required/],
    ['another type', { forced: true }, /^forced: expected "open", "closed", or null/],
    ['an unknown key', { forced: null, for: '1h' }, /^for: unknown key/],
    ['no object', [], /^\$: expected object, found an array$/],
    ['no JSON', '{"forced":', /^\$: required: expected object$/],
  ])('refuses %s as a change of a breaker', async (_, body, expected) => {
    const { isolate, orders } = deploy()
    const { put, admin } = isolate()
    const [status, code, detail] = await problemOf(await put(`/breakers/${orders}`, body))
    expect([status, code]).toEqual([400, 'admin-invalid'])
    expect(detail).toMatch(expected)
    expect(await (await admin(`/breakers/${orders}`)).json()).toMatchObject({ forced: null })
  })

  it('refuses a target that the upstream has not, with the nearest', async () => {
    const { isolate, users, label } = deploy()
    const { put } = isolate()
    const wrong = `${label('b')}b`
    const [status, code, detail] = await problemOf(await put(`/targets/${users}`, { target: wrong, drained: true }))
    expect([status, code]).toEqual([400, 'admin-invalid'])
    expect(detail).toContain(`target: no target "${wrong}"; did you mean "${label('b')}"?`)
    expect(await problemOf(await put(`/targets/${users}`, { target: label('a') }))).toMatchObject([
      400,
      'admin-invalid',
      expect.stringMatching(/^drained: required/),
    ])
  })

  it.each<[what: string, body: (large: string) => BodyInit, policies: object]>([
    ['a body of known length', (large) => large, {}],
    ['a body of unknown length', (large) => new Blob([large]).stream(), {}],
    ['a body that the route’s own limit cuts', (large) => new Blob([large]).stream(), { bodyLimit: { max: '1kb' } }],
  ])('refuses %s that is too large', async (_what, body, policies) => {
    const { isolate, orders } = deploy({}, policies)
    const headers = { 'content-type': 'application/json' }
    const large = `{"forced":"open"${' '.repeat(5_000)}}`
    const response = await isolate().admin(`/breakers/${orders}`, { method: 'PUT', headers, body: body(large) })
    expect((await problemOf(response)).slice(0, 2)).toEqual([413, 'body-too-large'])
  })

  it('writes who changed what, from what, to what', async () => {
    const { isolate, orders, users, label } = deploy({ variable: () => undefined })
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    const { put } = isolate()
    await put(`/breakers/${orders}`, { forced: 'closed' })
    await put(`/targets/${users}`, { target: label('a'), drained: true })
    await put(`/breakers/${orders}`, { forced: 'wrong' })
    const lines = log.mock.calls.map(([line]) => JSON.parse(line as string) as Record<string, unknown>)
    const who = { provider: 'main', issuer: ISSUER, subject: 'ada' }
    const common = { time: expect.any(String), id: expect.any(String), client: expect.any(String), level: 'warn', who }
    expect(lines.filter(({ event }) => event === 'admin')).toEqual([
      { ...common, event: 'admin', resource: 'breakers', upstream: orders, before: null, after: 'closed' },
      {
        ...common,
        event: 'admin',
        resource: 'targets',
        upstream: users,
        target: label('a'),
        before: false,
        after: true,
      },
    ])
  })

  it('writes it to the audit log too, and does without one that does not answer', async () => {
    const store = env.IDENTITY.getByName('identity') as unknown as {
      execute: (...asked: unknown[]) => Promise<unknown>
    }
    // It refuses this one thing: without its news about revocations nobody gets in.
    const execute = (name: string, args: unknown) =>
      name === 'recordChange' ? Promise.reject(new Error('no')) : store.execute(name, args)
    const broken = { getByName: () => ({ execute }) }
    const { isolate, orders, users, label } = deploy()
    await isolate().put(`/breakers/${orders}`, { forced: 'closed' })
    await isolate().put(`/targets/${users}`, { target: label('a'), drained: true })
    const { audit } = await (await isolate().admin('/audit?limit=2')).json<{ audit: object[] }>()
    const by = { provider: 'main', issuer: ISSUER, subject: 'ada', client: '', request: expect.any(String) }
    expect(audit).toMatchObject([
      { act: 'targets.steer', on: users, by, details: { target: label('a'), before: false, after: true } },
      { act: 'breakers.steer', on: orders, by, details: { before: null, after: 'closed' } },
    ])

    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    const alone = deploy({ variable: () => undefined, identityStore: broken as unknown as Platform['identityStore'] })
    expect((await alone.isolate().put(`/breakers/${alone.orders}`, { forced: 'open' })).status).toBe(200)
    const lines = log.mock.calls.map(([line]) => JSON.parse(line as string) as Record<string, unknown>)
    expect(lines).toContainEqual(expect.objectContaining({ upstream: alone.orders, after: 'open', audited: false }))
  })

  it('answers 503 within a moment while the object is out of reach, and hides nothing else in a list', async () => {
    const inspect = () => Promise.reject(new Error('secret of the platform'))
    const hanging = () => new Promise<never>(() => {})
    const seen = { forced: null, everywhere: { state: 'closed', forMs: 0 }, drained: [], leases: 0, regions: [] }
    const worlds: Record<string, object> = {}
    const platform = {
      globalUpstreams: { getByName: (name: string) => worlds[name] } as unknown as Platform['globalUpstreams'],
    }
    const { isolate, orders, users, label } = deploy({ ...platform, variable: () => undefined })
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    const { admin, put } = isolate()
    worlds[orders] = { inspect }
    worlds[users] = { inspect: () => Promise.resolve(seen), order: hanging }

    const silent = `the object of "${orders}" did not respond`
    for (const response of [await admin(`/breakers/${orders}`), await put(`/breakers/${orders}`, { forced: 'open' })]) {
      expect(response.headers.get('retry-after')).toBe('1')
      expect(await problemOf(response)).toEqual([503, 'state-unavailable', silent])
    }
    expect(await (await admin('/targets')).json()).toEqual({
      targets: [
        { upstream: orders, unavailable: true },
        { upstream: users, targets: [expect.anything(), expect.anything()] },
      ],
    })
    const startedAt = Date.now()
    const late = await put(`/targets/${users}`, { target: label('a'), drained: true })
    expect(Date.now() - startedAt).toBeLessThan(2_000)
    expect(await problemOf(late)).toEqual([
      503,
      'state-unavailable',
      `the object of "${users}" did not respond; the change may have been made all the same`,
    ])
    // What may have happened is written down too; what cannot have happened is not.
    const acts = log.mock.calls.map(([line]) => line as string).filter((line) => line.includes('"event":"admin"'))
    expect(acts.map((line) => JSON.parse(line) as object)).toMatchObject([{ upstream: users, after: 'unknown' }])
  })

  it('answers what nobody thought of with the gateway’s own 500', async () => {
    const broken = { inspect: () => Promise.resolve({ regions: [] }) }
    const { isolate, users } = deploy({
      globalUpstreams: { getByName: () => broken } as unknown as Platform['globalUpstreams'],
    })
    expect(await problemOf(await isolate().admin(`/targets/${users}`))).toEqual([500, 'internal-error', undefined])
  })
})
