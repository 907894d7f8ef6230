import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import type * as z from 'zod/mini'
import { compose, passThrough, type Handler } from '../../src/core/pipeline.ts'
import type { Platform } from '../../src/core/platform.ts'
import type { RouteFacts } from '../../src/core/policy.ts'
import { applyHeaderEdits } from '../../src/ingress/finish.ts'
import { limiterCounters } from '../../src/limits/store/limit-log.ts'
import { LIMIT_SHARDS, limitStores } from '../../src/limits/store/stores.ts'
import { rateLimit, rateLimitBeforeAuth } from '../../src/policies/rate-limit.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestFacts, makeTestPlatform } from '../support/platform.ts'
import { signalRedis, startRedis } from '../support/redis.ts'

type Raw = z.input<typeof rateLimit.config>[number]

const route = makeTestFacts({ params: ['id'] })
const perIp: Raw = { name: 'per-ip', algorithm: 'fixed-window', limit: 2, window: '60s', key: ['client.ip'] }
const local: Raw = { ...perIp, consistency: 'local' }
/** Ten seconds into an aligned minute. */
const NOW = 1_700_000_050_000 - (1_700_000_050_000 % 60_000) + 10_000

let reached = 0
const origin: Handler = async () => {
  reached++
  return new Response('ok')
}

/** A platform whose stores have long timeouts, for a busy machine. */
function makePatientPlatform(parts: Partial<Platform> = {}, timeoutMs = 5_000): Platform {
  const platform = makeTestPlatform(parts)
  limitStores(platform, timeoutMs)
  return platform
}

/** The response, and the last edit of each header. */
function makeGateway(limiters: readonly Raw[], platform: Platform) {
  const handler = rateLimit.compile(rateLimit.config.parse(limiters), platform, route)(origin)
  return async (ip = '192.0.2.1') => {
    const x = makeTestExchange(undefined, { params: { id: '7' } })
    const response = await handler({ ...x, client: { ...x.client, ip } })
    for (const { op, name, value } of x.edits) if (op === 'set') response.headers.set(name, value)
    await x.settled()
    return { status: response.status, headers: response.headers, body: await response.text() }
  }
}

describe('configuration', () => {
  const messages = (limiters: readonly unknown[], facts: Partial<RouteFacts> = {}) => {
    const parsed = rateLimit.config.safeParse(limiters)
    if (!parsed.success) return parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
    const diagnostics = rateLimit.check?.(parsed.data, { ...route, ...facts }) ?? []
    return diagnostics.map(({ path, message }) => `${path.join('.')}: ${message}`)
  }

  it('is strict, and falls back to the isolate, unless told otherwise', () => {
    expect(rateLimit.config.parse([perIp])[0]).toMatchObject({
      window: 60_000,
      consistency: 'strict',
      onStoreError: 'local',
    })
  })

  it.each([
    [{ key: [] }, '0.key: expected at least one of client.ip'],
    [{ key: ['client.io'] }, '0.key.0: did you mean "client.ip"?'],
    [{ key: ['apiKey.id'] }, '0.key.0: apiKey.id needs the policy "auth" on this route'],
    [{ key: ['jwt.sub'] }, '0.key.0: jwt.sub needs the policy "auth"'],
    [{ key: ['param:ident'] }, '0.key.0: no parameter "ident" in match.path; did you mean "id"?'],
    [{ key: ['header:x-tenant', 'route'] }, '0.key: the client chooses its headers'],
    [{ key: undefined }, '0.key: '],
    [{ key: ['jwt.a..b'] }, '0.key.0: expected a claim’s name after "jwt."'],
    [{ key: ['jwt.roles[0]'] }, '0.key.0: expected a claim’s name after "jwt."'],
    [{ key: ['jwt.$.sub'] }, '0.key.0: expected a claim’s name after "jwt."'],
    [{ algorithm: 'sliding' }, '0.algorithm: did you mean "sliding-window"?'],
    [{ consistency: 'lease' }, '0.consistency: did you mean "leased"?'],
    [{ consistency: 'local', onStoreError: 'deny' }, '0.onStoreError: has no use with the consistency "local"'],
    [{ consistency: ['strict', 'local'] }, '0.consistency: expected one of "strict", "leased", "local"'],
    [{ onStoreError: 'open' }, '0.onStoreError: expected one of "allow", "deny", "local"'],
    [{ limit: 0 }, '0.limit: '],
    [{ limit: -1 }, '0.limit: '],
    [{ limit: 1.5 }, '0.limit: '],
    [{ window: '999ms' }, '0.window: expected a duration'],
    [{ window: '32d' }, '0.window: expected a duration'],
    [{ window: '1500ms' }, '0.window: expected whole seconds'],
    [{ name: 'a"b' }, '0.name: expected a name of letters'],
    [{ before: 'cors' }, '0.before: expected one of "auth"'],
    [{ burst: 5 }, '0.burst: has no use with the algorithm "fixed-window"; expected "token-bucket"'],
    [{ algorithm: 'token-bucket', burst: 0 }, '0.burst: '],
    [{ algorithm: 'token-bucket', limit: 1, window: '31d', burst: 13 }, '0.burst: expected a bucket that is full'],
    [{ cost: 3 }, '0.cost: expected at most 2: no more than that can be taken at once'],
    [{ mode: 'dry-run' }, '0.mode: expected one of "enforce", "shadow"'],
  ])('refuses %o', (parts, message) => {
    expect(messages([{ ...perIp, ...parts }])).toEqual([expect.stringContaining(message)])
  })

  it('refuses two limiters of one name and an empty list', () => {
    expect(messages([perIp, perIp])).toEqual(['1.name: another limiter of this route has the name "per-ip" already'])
    expect(messages([])).toEqual([expect.stringContaining('expected at least one limiter')])
  })

  it('takes identity with auth, and a header beside the address', () => {
    expect(messages([{ ...perIp, key: ['jwt.sub', 'header:x-tenant'] }], { hasAuth: true })).toEqual([])
    expect(messages([{ ...perIp, key: ['client.ip', 'header:x-tenant', 'param:id', 'const:a', 'route'] }])).toEqual([])
  })
})

describe('limits before auth', () => {
  const early: Raw = { ...local, name: 'early', before: 'auth' }
  const nobody = { ...route, hasAuth: true }

  it('have no identity to count by', () => {
    const check = (parts: object) => rateLimit.check!(rateLimit.config.parse([{ ...early, ...parts }]), nobody)
    expect(check({ key: ['jwt.sub'] })).toEqual([
      { path: [0, 'key', 0], message: 'jwt.sub is not known before "auth"; expected "client.ip"' },
    ])
    expect(check({ key: ['client.ip', 'header:x-a'] })).toEqual([])
  })

  it('are a layer of their own, which is none where there are none', async () => {
    const platform = makeTestPlatform({ now: () => NOW })
    const compileBoth = (limiters: readonly Raw[]) =>
      [rateLimitBeforeAuth, rateLimit].map((policy) => policy.compile(policy.config.parse(limiters), platform, route))
    expect(compileBoth([local]).map((layer) => layer === passThrough)).toEqual([true, false])
    expect(compileBoth([early]).map((layer) => layer === passThrough)).toEqual([false, true])
    expect(compileBoth([early, local]).map((layer) => layer === passThrough)).toEqual([false, false])
  })

  it.each([
    [[early], '"early";r=1;t=50'],
    [[local, early], '"per-ip";r=1;t=50, "early";r=1;t=50'],
  ])('say what is left in one list with the others, in place of what the origin says', async (limiters, expected) => {
    const platform = makeTestPlatform({ now: () => NOW })
    const config = rateLimit.config.parse(limiters)
    const handler = compose(
      [rateLimitBeforeAuth.compile(config, platform, route), rateLimit.compile(config, platform, route)],
      async () =>
        new Response('ok', { headers: { ratelimit: '"origin";r=7;t=1', 'ratelimit-policy': '"origin";q=9;w=1' } }),
    )
    const x = makeTestExchange()
    const { headers } = applyHeaderEdits(await handler(x), x.edits)
    expect(headers.get('ratelimit')).toBe(expected)
    expect(headers.get('ratelimit-policy')).toBe(expected.replaceAll('r=1;t=50', 'q=2;w=60'))
  })
})

describe('buckets', () => {
  const bucket: Raw = { ...local, name: 'logins', algorithm: 'token-bucket', limit: 5, window: '1m', burst: 3 }

  it('admit a burst, say what is left and when there is more, and hold as many as the limit unless told otherwise', async () => {
    let now = NOW
    const ask = makeGateway([bucket], makeTestPlatform({ now: () => now }))
    const first = await ask()
    expect(first.headers.get('ratelimit-policy')).toBe('"logins";q=5;w=60;burst=3')
    expect(first.headers.get('ratelimit')).toBe('"logins";r=2;t=12')
    await ask()
    expect((await ask()).headers.get('ratelimit')).toBe('"logins";r=0;t=12')
    now += 5_500
    const refused = await ask()
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '7'])
    expect(refused.headers.get('ratelimit')).toBe('"logins";r=0;t=7')
    now += 7_000
    expect((await ask()).status).toBe(200)
    const { burst: _burst, ...plain } = bucket
    const { headers } = await makeGateway([plain], makeTestPlatform())()
    expect([headers.get('ratelimit-policy'), headers.get('ratelimit')]).toEqual([
      '"logins";q=5;w=60;burst=5',
      '"logins";r=4;t=12',
    ])
  })

  it.each<[store: string, platform: () => Platform]>([
    ['Durable Objects', () => makePatientPlatform()],
    [
      'Upstash Redis',
      () =>
        makePatientPlatform({
          variable: (name) => (name === 'UPSTASH_REDIS_REST_URL' ? env.TEST_UPSTASH_URL : undefined),
          secret: ({ $secret }) => ($secret === 'UPSTASH_REDIS_REST_TOKEN' ? env.TEST_UPSTASH_TOKEN : undefined),
        }),
    ],
  ])('admit it in all isolates together, in %s', async (_store, platform) => {
    const strict: Raw = {
      ...bucket,
      name: crypto.randomUUID(),
      window: '1h',
      consistency: 'strict',
      onStoreError: 'deny',
    }
    const isolates = [makeGateway([strict], platform()), makeGateway([strict], platform())]
    const answers = []
    for (let i = 0; i < 6; i++) answers.push(await isolates[i % 2]!())
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429, 429])
    expect(answers.map(({ headers }) => /r=(\d+)/.exec(headers.get('ratelimit')!)![1])).toEqual([
      '2',
      '1',
      '0',
      '0',
      '0',
      '0',
    ])
    expect(Number(answers[5]!.headers.get('retry-after'))).toBeGreaterThan(700)
  })
})

describe('local limits', () => {
  it('admit the limit, say what is left, and refuse the rest until the window ends', async () => {
    let now = NOW
    const ask = makeGateway([local], makeTestPlatform({ now: () => now }))
    reached = 0
    const first = await ask()
    expect(first.status).toBe(200)
    expect(first.headers.get('ratelimit-policy')).toBe('"per-ip";q=2;w=60')
    expect(first.headers.get('ratelimit')).toBe('"per-ip";r=1;t=50')
    expect(first.headers.has('retry-after')).toBe(false)
    now += 1
    expect((await ask()).headers.get('ratelimit')).toBe('"per-ip";r=0;t=50')
    const refused = await ask()
    expect(refused.status).toBe(429)
    expect(refused.headers.get('ratelimit')).toBe('"per-ip";r=0;t=50')
    expect(refused.headers.get('ratelimit-policy')).toBe('"per-ip";q=2;w=60')
    expect(refused.headers.get('retry-after')).toBe('50')
    expect(JSON.parse(refused.body)).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      'violated-policies': ['per-ip'],
    })
    expect(reached).toBe(2)
    expect((await ask('192.0.2.2')).status).toBe(200)
    now = NOW + 50_000
    expect((await ask()).headers.get('ratelimit')).toBe('"per-ip";r=1;t=60')
  })

  it('are asked in order, and the first that refuses answers', async () => {
    const wide: Raw = { ...local, name: 'wide', limit: 5, key: ['const:all'] }
    const ask = makeGateway([local, wide], makeTestPlatform({ now: () => NOW }))
    expect((await ask()).headers.get('ratelimit')).toBe('"per-ip";r=1;t=50, "wide";r=4;t=50')
    await ask()
    const refused = await ask()
    expect(JSON.parse(refused.body)).toMatchObject({ 'violated-policies': ['per-ip'] })
    expect(refused.headers.get('ratelimit-policy')).toBe('"per-ip";q=2;w=60, "wide";q=5;w=60')
    expect((await ask('192.0.2.2')).headers.get('ratelimit')).toBe('"per-ip";r=1;t=50, "wide";r=2;t=50')
  })

  it('count together in all routes of a site where a name stands', async () => {
    const platform = makeTestPlatform({ now: () => NOW })
    const [one, other] = [makeGateway([local], platform), makeGateway([local], platform)]
    expect([(await one()).status, (await other()).status, (await one()).status]).toEqual([200, 200, 429])
  })

  it('share one count among requests without a key', async () => {
    const platform = makeTestPlatform({ now: () => NOW })
    const ask = makeGateway([local], platform)
    expect([(await ask('')).status, (await ask('')).status, (await ask('')).status]).toEqual([200, 200, 429])
    expect(limiterCounters(platform, 'per-ip')).toMatchObject({ missingKeys: 3, admitted: 2, refused: 1 })
    expect((await ask()).status).toBe(200)
  })

  it('write fields that are lists of strings with integer parameters (RFC 9651)', async () => {
    const entry = fc.record({
      name: fc.stringMatching(/^[\w.-]{1,64}$/),
      limit: fc.integer({ min: 1, max: 1_000_000_000 }),
      window: fc.integer({ min: 1, max: 31 * 86_400 }).map((seconds) => `${seconds}s`),
    })
    const entries = fc.uniqueArray(entry, { minLength: 1, maxLength: 3, selector: ({ name }) => name })
    const list = (item: string) => new RegExp(`^${item}(, ${item})*$`)
    await fc.assert(
      fc.asyncProperty(entries, async (limiters) => {
        const { headers } = await makeGateway(
          limiters.map((parts) => ({ ...local, ...parts })),
          makeTestPlatform(),
        )()
        expect(headers.get('ratelimit-policy')).toMatch(list('"[ -!#-[\\]-~]+";q=\\d{1,15};w=\\d{1,15}'))
        expect(headers.get('ratelimit')).toMatch(list('"[ -!#-[\\]-~]+";r=\\d{1,15};t=\\d{1,15}'))
      }),
    )
  })

  it('hand on what the next layer promises, with no await of their own', () => {
    const response = Promise.resolve(new Response('ok'))
    const handler = rateLimit.compile(rateLimit.config.parse([local]), makeTestPlatform(), route)(() => response)
    expect(handler(makeTestExchange())).toBe(response)
  })
})

describe('strict limits in Durable Objects', () => {
  let hangs = false
  afterEach(() => void (hangs = false))

  it('admit the limit in all isolates together', async () => {
    const name = crypto.randomUUID()
    const limiter: Raw = { ...perIp, name, window: '1d', limit: 10, onStoreError: 'deny' }
    const gateways = [makePatientPlatform(), makePatientPlatform()].map((platform) => makeGateway([limiter], platform))
    const statuses: number[] = []
    for (let i = 0; i < 12; i += 2) {
      const pair = await Promise.all(gateways.map((ask) => ask()))
      statuses.push(...pair.map(({ status }) => status))
    }
    expect(statuses).toEqual([...Array<number>(10).fill(200), 429, 429])
  })

  it('are asked after the local ones, and lose nothing to what those refuse', async () => {
    const name = crypto.randomUUID()
    const strict: Raw = { ...perIp, name, window: '1d', limit: 2, onStoreError: 'deny' }
    const narrow: Raw = { ...local, name: 'narrow', limit: 1 }
    const platform = makePatientPlatform({ now: () => NOW })
    const ask = makeGateway([strict, narrow], platform)
    const first = await ask()
    expect(first.headers.get('ratelimit')).toMatch(new RegExp(`^"narrow";r=0;t=50, "${name}";r=1;t=\\d+$`))
    expect(first.headers.get('ratelimit-policy')).toBe(`"narrow";q=1;w=60, "${name}";q=2;w=86400`)
    for (let i = 0; i < 3; i++) {
      const refused = await ask()
      expect([refused.status, refused.headers.get('ratelimit')]).toEqual([429, '"narrow";r=0;t=50'])
      expect(refused.headers.get('ratelimit-policy')).toBe(first.headers.get('ratelimit-policy'))
    }
    expect((await makeGateway([strict], platform)()).headers.get('ratelimit')).toMatch(/;r=0;/)
  })

  it.each([
    ['allow', [200, 200, 200], null],
    ['deny', [503, 503, 503], null],
    ['local', [200, 200, 429], 'r=0;t=50'],
  ] as const)('with onStoreError "%s" answer %j when the objects hang', async (onStoreError, expected, left) => {
    const platform = makeTestPlatform({ now: () => NOW })
    const name = `hang-${onStoreError}`
    const ask = makeGateway([{ ...perIp, name, onStoreError }], platform)
    hangs = true
    let holding = 0
    const held = Array.from({ length: LIMIT_SHARDS }, (_, i) =>
      runInDurableObject(env.LIMITS.get(env.LIMITS.idFromName(`limits-${i}`)), (_shard, state) =>
        state.blockConcurrencyWhile(async () => {
          holding++
          while (hangs) await scheduler.wait(5)
        }),
      ),
    )
    while (holding < LIMIT_SHARDS) await scheduler.wait(5)
    const answers = [await ask(), await ask(), await ask()]
    hangs = false
    await Promise.all(held)
    expect(answers.map(({ status }) => status)).toEqual(expected)
    expect(answers[2]!.headers.get('ratelimit')).toBe(left && `"${name}";${left}`)
    expect(answers[2]!.headers.get('ratelimit-policy')).toBe(`"${name}";q=2;w=60;fallback=${onStoreError}`)
    if (onStoreError === 'deny') expect(JSON.parse(answers[0]!.body)).toMatchObject({ code: 'limit-store-unavailable' })
    const blind = expected.filter((status) => status === 200).length
    expect(limiterCounters(platform, name)).toMatchObject({ storeFailures: 3, blind, admitted: blind })
    expect(limitStores(platform).degraded()).toBe('durable-objects')
  })
})

describe('strict limits in Upstash Redis', () => {
  const upstashPlatform = (url: string, token: string, timeoutMs?: number) =>
    makePatientPlatform(
      {
        variable: (name) => (name === 'UPSTASH_REDIS_REST_URL' ? url : undefined),
        secret: ({ $secret }) => ($secret === 'UPSTASH_REDIS_REST_TOKEN' ? token : undefined),
      },
      timeoutMs,
    )

  it('admit the limit in all isolates together, whatever the limiter is called', async () => {
    const limiter: Raw = { ...perIp, name: crypto.randomUUID(), window: '31d', limit: 3, onStoreError: 'deny' }
    const gateways = [0, 1].map(() =>
      makeGateway([limiter], upstashPlatform(env.TEST_UPSTASH_URL, env.TEST_UPSTASH_TOKEN)),
    )
    const statuses: number[] = []
    for (let i = 0; i < 5; i++) statuses.push((await gateways[i % 2]!()).status)
    expect(statuses).toEqual([200, 200, 200, 429, 429])
  })

  it.each([
    ['allow', 'SIGSTOP', [200, 200, 200]],
    ['deny', 'SIGSTOP', [200, 503, 503]],
    ['local', 'SIGSTOP', [200, 200, 429]],
    ['allow', 'SIGKILL', [200, 200, 200]],
    ['deny', 'SIGKILL', [200, 503, 503]],
    ['local', 'SIGKILL', [200, 200, 429]],
  ] as const)('with onStoreError "%s" and a Redis that got %s answer %j', async (onStoreError, signal, expected) => {
    const { url, token, redisPid } = await startRedis()
    const platform = upstashPlatform(url, token, 500)
    const ask = makeGateway([{ ...perIp, window: '31d', limit: 1, onStoreError }], platform)
    const statuses = [(await ask()).status]
    await signalRedis(redisPid, signal)
    for (let i = 0; i < 2; i++) statuses.push((await ask()).status)
    expect(statuses).toEqual(expected)
    expect(limiterCounters(platform, 'per-ip').storeFailures).toBe(2)
  })
})
