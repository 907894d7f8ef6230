import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, expect, it, vi } from 'vitest'
import { logObjectError } from '../../src/telemetry/object-errors.ts'
import { GLOBAL_PROTOCOL } from '../../src/upstream/circuit-breaker/api.ts'
import { BREAKER_PROTOCOL } from '../../src/upstream/circuit-breaker/breaker-report.ts'

const written = vi.spyOn(console, 'error').mockImplementation(() => {})
afterEach(() => written.mockClear())

const lines = () => written.mock.calls.map(([text]) => JSON.parse(String(text)) as Record<string, unknown>)

interface Broken {
  readonly drop: string
  readonly call: (name: string) => Promise<unknown>
  readonly namespace: DurableObjectNamespace
}
const limit = { key: 'a', spec: { name: 'n', limit: 3, windowMs: 60_000 }, ask: { want: 1, atLeast: 1 } }
const OBJECTS: Readonly<Record<string, Broken>> = {
  'LimitShard.take': { drop: 'takes', namespace: env.LIMITS, call: (name) => env.LIMITS.getByName(name).take(limit) },
  'NonceStore.use': { drop: 'nonces', namespace: env.NONCES, call: (name) => env.NONCES.getByName(name).use('a', 1) },
  'LoginGuard.decide': {
    drop: 'failures',
    namespace: env.LOGINS,
    call: (name) => env.LOGINS.getByName(name).decide('u', 'p', false),
  },
  'IdentityStore.getUser': {
    drop: 'users',
    namespace: env.IDENTITY,
    call: async (name) => env.IDENTITY.getByName(name).execute('getUser', ['jane']),
  },
}

it.each(Object.entries(OBJECTS))(
  '%s logs the error of its storage with its stack',
  async (place, { drop, call, namespace }) => {
    const name = `broken-${drop}`
    await runInDurableObject(namespace.getByName(name), (_, { storage }) => void storage.sql.exec(`DROP TABLE ${drop}`))
    expect(await call(name)).toBeUndefined()
    const [object, method] = place.split('.')
    // Other test files of this isolate may have counted errors of the method.
    const count: unknown = expect.any(Number)
    expect(lines()).toMatchObject([{ level: 'error', event: 'object-error', object, method, count }])
    expect(lines()[0]!['message']).toContain(drop)
    expect(lines()[0]!['stack']).toContain('.ts')
  },
)

it('counts every error, writes ten lines a minute for one method, and removes secrets', () => {
  for (let i = 0; i < 25; i++) logObjectError('LimitShard', 'flood', new Error('password=hush-hush'), {})
  expect(lines().map(({ count }) => count)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  expect(JSON.stringify(lines())).not.toContain('hush')
  const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 60_000)
  logObjectError('LimitShard', 'flood', new Error('again'), {})
  clock.mockRestore()
  expect(lines().at(-1)).toMatchObject({ count: 26, message: 'again' })
})

it('writes nothing under silent, and never throws', () => {
  logObjectError('LimitShard', 'quiet', new Error('x'), { LOG_LEVEL: 'silent' })
  expect(lines()).toEqual([])
  logObjectError('LimitShard', 'odd', Object.create(null), {})
  expect(lines()).toMatchObject([{ message: 'an error that cannot be read', count: 1 }])
})

it('logs what fails in the objects of the cache, of a breaker and of the state of all regions', async () => {
  const badReport = {} as never
  await env.CACHE_STATE.getByName('broken').purges(0, undefined as never)
  await env.BREAKERS.getByName('broken').report(BREAKER_PROTOCOL, undefined as never)
  await env.BREAKERS.getByName('broken').receive(GLOBAL_PROTOCOL, undefined as never)
  await env.GLOBAL_UPSTREAMS.getByName('broken').report(GLOBAL_PROTOCOL, badReport)
  expect(lines().map(({ object, method }) => `${String(object)}.${String(method)}`)).toEqual([
    'CacheCoordinator.purges',
    'CircuitBreaker.report',
    'CircuitBreaker.receive',
    'GlobalUpstreamState.report',
  ])
  for (const { stack } of lines()) expect(stack).toContain('.ts')
})
