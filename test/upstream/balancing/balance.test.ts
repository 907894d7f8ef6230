import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { problemCode } from '../../../src/core/problem.ts'
import { avoidLastTarget, makeBalancer } from '../../../src/upstream/balancing/balance.ts'
import { makeTargets } from '../../../src/upstream/target.ts'
import { makeTestExchange } from '../../support/exchange.ts'
import { countNames, makeTestTargets, nameOf, seededRandom, worstError } from '../../support/targets.ts'
import { makeTestUpstream } from '../../support/upstream.ts'

const STRATEGIES = ['round-robin', 'least-requests', 'ewma', 'hash'] as const
const platform = (random = seededRandom()) => ({ now: () => 0, random })
const times = <T>(count: number, make: (nth: number) => T) => Array.from({ length: count }, (_, i) => make(i))
const fromClient = (ip: string) =>
  makeTestExchange(undefined, {
    client: { ip, forwardedFor: ip, scheme: 'https', host: 'gw.test', country: undefined },
  })

describe('every strategy', () => {
  const balancerOf = (loadBalancing: (typeof STRATEGIES)[number], weights: readonly number[]) => {
    const targets = makeTestTargets(...weights)
    const config = { loadBalancing, hashOn: 'client.ip', outlierDetection: undefined }
    return { targets, pick: makeBalancer(targets, config, platform()).pick }
  }

  it.each(
    STRATEGIES.flatMap((name) =>
      [
        [3, 1],
        [1, 1, 1],
        [7, 2, 1],
        [100, 1],
      ].map((w) => [name, w] as const),
    ),
  )('%s keeps to the weights %o within 5 %% over 500 while nothing else tells the targets apart', (name, weights) => {
    const { targets, pick } = balancerOf(name, weights)
    const names = times(500, (nth) => nameOf(pick(fromClient(`10.0.${nth >> 8}.${nth & 255}`))))
    expect(worstError(names, targets)).toBeLessThanOrEqual(5)
  })

  it('chooses only what may be used, and nothing only when there is nothing', () => {
    const condition = fc.constantFrom('ok' as const, 'ok' as const, 'unhealthy' as const, 'drained' as const)
    const target = fc.record({ weight: fc.nat(5), condition, inFlight: fc.nat(9) })
    fc.assert(
      fc.property(fc.constantFrom(...STRATEGIES), fc.array(target, { minLength: 1, maxLength: 8 }), (name, all) => {
        const { targets, pick } = balancerOf(
          name,
          all.map(({ weight }) => weight),
        )
        all.forEach(({ condition: now, inFlight }, i) => Object.assign(targets[i]!, { condition: now, inFlight }))
        const usable = targets.filter(({ weight, condition: now }) => weight > 0 && now !== 'drained')
        const healthy = usable.filter(({ condition: now }) => now === 'ok')
        const allowed = healthy.length * 2 < usable.length ? usable : healthy
        for (let i = 0; i < 10; i++) {
          const picked = pick(fromClient(`10.0.0.${i}`))
          if (allowed.length === 0) expect(picked).toBeUndefined()
          else expect(allowed).toContain(picked)
        }
      }),
    )
  })
})

describe('a retry', () => {
  it('takes another target than those that failed, and comes back to them when there is no other', () => {
    const targets = makeTestTargets(1, 1, 1)
    const { pick } = makeBalancer(
      targets,
      { loadBalancing: 'hash', hashOn: 'client.ip', outlierDetection: undefined },
      platform(),
    )
    const x = makeTestExchange()
    const tried = times(3, () => {
      const target = pick(x)!
      x.attempts++
      x.target = target.label
      avoidLastTarget(x)
      return nameOf(target)
    })
    expect(new Set(tried)).toEqual(new Set(['t0', 't1', 't2']))
    expect(nameOf(pick(x))).toBe(tried[0])
    expect(nameOf(pick(makeTestExchange()))).toBe(tried[0])
  })
})

describe('regular traffic to two routes of one upstream', () => {
  it.each(['round-robin', 'least-requests', 'ewma'] as const)(
    'gets the targets of %s by their weights',
    (loadBalancing) => {
      const config = { loadBalancing, hashOn: undefined, outlierDetection: undefined }
      const { pick } = makeBalancer(makeTestTargets(3, 1), config, platform())
      const counts: Record<string, number> = {}
      for (let nth = 0; nth < 80; nth++) {
        const route = nth % 2 === 0 ? 'a' : 'b'
        const name = `${route}: ${nameOf(pick(makeTestExchange(undefined, { route })))}`
        counts[name] = (counts[name] ?? 0) + 1
      }
      expect(Object.values(counts).toSorted((a, b) => a - b)).toEqual([10, 10, 30, 30])
    },
  )
})

describe('many routes that are called once', () => {
  it('begin at different targets, by their weights', () => {
    const config = { loadBalancing: 'round-robin', hashOn: undefined, outlierDetection: undefined } as const
    const { pick } = makeBalancer(makeTestTargets(3, 1), config, platform())
    const names = times(40, (nth) => nameOf(pick(makeTestExchange(undefined, { route: `route-${nth}` }))))
    expect(new Set(names).size).toBe(2)
    expect(names.filter((name) => name === names[0]).length).toBe(30)
  })
})

describe('round-robin', () => {
  it('spreads the choices instead of sending them in runs', () => {
    const targets = makeTestTargets(3, 1)
    const { pick } = makeBalancer(
      targets,
      { loadBalancing: 'round-robin', hashOn: undefined, outlierDetection: undefined },
      platform(),
    )
    expect(times(8, () => nameOf(pick(makeTestExchange()))![1]).join('')).toBe('00100010')
  })
})

describe('an upstream', () => {
  const answering = { fetch: async (url: string) => new Response(url) }
  const status = (code: number) => ({ fetch: async () => new Response(null, { status: code }) })
  const targets = [{ url: 'http://t0.test' }, { url: 'http://t1.test' }]

  it('answers 503 no-target when all its targets are drained, and no breaker or retry takes that for a failure', async () => {
    let fetches = 0
    const fetch = async () => new Response(String(++fetches))
    const config = { targets, retry: { backoff: { base: '1ms' } }, circuitBreaker: { minimumRequests: 1 } }
    const { upstream, handler } = makeTestUpstream(config, { fetch })
    for (const target of upstream.targets) target.condition = 'drained'
    const x = makeTestExchange()
    const response = await handler(x)
    expect([response.status, problemCode(response), fetches, x.attempts]).toEqual([503, 'no-target', 0, 0])
    upstream.targets[1]!.condition = 'ok'
    expect((await handler(makeTestExchange())).status).toBe(200)
    await x.settled()
    expect(upstream.condition()).toBe('ok')
  })

  it('sends nothing to its only target while that is drained, and all the same while it is only unhealthy', async () => {
    const { upstream, handler } = makeTestUpstream({ targets: [{ url: 'http://t0.test' }] }, answering)
    upstream.targets[0]!.condition = 'drained'
    expect(problemCode(await handler(makeTestExchange()))).toBe('no-target')
    upstream.targets[0]!.condition = 'unhealthy'
    expect((await handler(makeTestExchange())).status).toBe(200)
  })

  it('never ejects its only target', async () => {
    const config = { targets: [{ url: 'http://t0.test' }], outlierDetection: { consecutive5xx: 1 } }
    const { upstream, handler } = makeTestUpstream(config, status(500))
    for (let i = 0; i < 3; i++) expect((await handler(makeTestExchange())).status).toBe(500)
    expect(upstream.describeTargets()[0]).not.toHaveProperty('ejected')
  })

  it('describes its targets', async () => {
    const config = { targets, outlierDetection: { consecutive5xx: 1, baseEjection: '10s' }, loadBalancing: 'ewma' }
    let now = 1_000_000
    let answer: (response: Response) => void = () => {}
    const fetch = () => new Promise<Response>((resolve) => (answer = resolve))
    const { upstream, handler } = makeTestUpstream(config, { fetch, now: () => now, random: () => 0 })
    const pending = handler(makeTestExchange())
    expect(upstream.describeTargets()[0]).toEqual({
      label: 't0.test:80',
      weight: 1,
      inFlight: 1,
      condition: 'ok',
      resting: false,
    })
    expect(upstream.load.inFlight).toBe(1)
    now += 40
    answer(new Response(null, { status: 500 }))
    await pending
    now += 5
    expect(upstream.describeTargets()[0]).toMatchObject({
      inFlight: 0,
      ejected: { forMs: 9_995, times: 1 },
      pace: { ms: 1_000, agoMs: 5 },
    })
    expect(upstream.describeTargets()[1]).toMatchObject({ label: 't1.test:80', inFlight: 0 })
  })

  it('passes over an ejected target until its time is over', async () => {
    let now = 1_000_000
    const fetch = async (url: string) => new Response(url, { status: url.startsWith('http://t0') ? 500 : 200 })
    const config = { targets, outlierDetection: { consecutive5xx: 3, baseEjection: '10s' } }
    const { handler } = makeTestUpstream(config, { fetch, now: () => now })
    const run = async (count: number) => {
      const hosts: string[] = []
      for (let i = 0; i < count; i++) {
        const response = await handler(makeTestExchange(undefined, { startedAt: now }))
        hosts.push(new URL(await response.text()).hostname)
      }
      return countNames(hosts)
    }
    expect(await run(6)).toEqual({ 't0.test': 3, 't1.test': 3 })
    expect(await run(20)).toEqual({ 't1.test': 20 })
    now += 10_000
    expect(await run(4)).toEqual({ 't0.test': 2, 't1.test': 2 })
  })
})

describe('makeTargets', () => {
  it('reads base path, address and port', () => {
    const [target] = makeTargets('u', [{ url: 'https://API.example.com/v1/', weight: 1 }], () => undefined)
    expect(target).toMatchObject({
      base: 'https://api.example.com/v1',
      label: 'api.example.com:443',
      address: 'api.example.com',
      port: 443,
    })
  })

  it('tells targets on one host apart by their paths', () => {
    const urls = ['http://h:1/a', 'http://h:1/b'].map((url) => ({ url, weight: 1 }))
    expect(makeTargets('u', urls, () => undefined).map((target) => target.label)).toEqual(['h:1/a', 'h:1/b'])
  })

  it('takes a URL from a variable, and says which one is missing', () => {
    const config = [{ url: { $env: 'USERS_URL' }, weight: 1 }]
    expect(makeTargets('users', config, () => 'http://h:1')[0]!.base).toBe('http://h:1')
    expect(() => makeTargets('users', config, () => undefined)).toThrow(
      'upstreams.users.targets[0].url: the variable USERS_URL',
    )
  })
})
