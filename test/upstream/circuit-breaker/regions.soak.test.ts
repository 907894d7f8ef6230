import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import type { Platform } from '../../../src/core/platform.ts'
import { problemCode } from '../../../src/core/problem.ts'
import type { Region } from '../../../src/core/region.ts'
import { makeTestExchange } from '../../support/exchange.ts'
import { makeTestPlatform, originUrl } from '../../support/platform.ts'
import { makeTestUpstream } from '../../support/upstream.ts'

const REGIONS = ['weur', 'enam', 'apac'] as const
const SETTINGS = { minimumRequests: 5, openDuration: '400ms', maxOpenDuration: '2s' }

/** An isolate of a region, in front of one origin whose response depends on the request's path. */
function makeIsolate(name: string, region: Region, more: object = {}, parts: Partial<Platform> = {}) {
  const config = { targets: [{ url: originUrl }], timeout: '5s', circuitBreaker: SETTINGS, ...more }
  const { upstream, handler } = makeTestUpstream(config, { name, region: () => region, ...parts })
  const ask = async (path = '/ok') => {
    const x = makeTestExchange(new Request(`https://gw.test${path}`))
    const code = problemCode(await handler(x))
    return { x, code, refused: code === 'circuit-open' }
  }
  const settle = async (path: string, count = 1) => {
    const all = await Promise.all(Array.from({ length: count }, () => ask(path)))
    await Promise.all(all.map(({ x }) => x.settled()))
  }
  return { region, upstream, ask, settle }
}

const wait = (ms: number) => new Promise((over) => setTimeout(over, ms))

describe('isolates in three regions', () => {
  it('refuse everywhere when most regions are open, and recover together within the open time and a second', async () => {
    const isolates = REGIONS.map((region) => makeIsolate('three', region))
    const [weur, enam, apac] = isolates as [(typeof isolates)[0], (typeof isolates)[0], (typeof isolates)[0]]
    for (const { settle } of isolates) await settle('/ok')
    await weur.settle('/status/500', 5)
    await wait(250)
    await apac.settle('/ok')
    expect(isolates.map(({ upstream }) => upstream.condition())).toEqual(['open', 'ok', 'ok'])
    await enam.settle('/status/500', 10)
    const opened = Date.now()
    await vi.waitFor(
      async () => {
        await apac.settle('/ok')
        expect(apac.upstream.condition()).toBe('open')
      },
      { timeout: 700, interval: 20 },
    )
    expect(await apac.ask()).toMatchObject({ refused: true })
    // Ten requests a second each.
    const recovered = new Map<Region, number>()
    while (recovered.size < 3 && Date.now() - opened < 4_000) {
      for (const { region, ask } of isolates) {
        if (!(await ask()).refused && !recovered.has(region)) recovered.set(region, Date.now() - opened)
      }
      await wait(100)
    }
    expect([...recovered.keys()].toSorted((a, b) => a.localeCompare(b))).toEqual(['apac', 'enam', 'weur'])
    expect(Math.max(...recovered.values())).toBeLessThanOrEqual(1_400)
  })

  it('send one probe among them while the origin is down', async () => {
    const isolates = REGIONS.map((region) => makeIsolate('one probe', region))
    for (const { settle } of isolates) await settle('/status/500', 5)
    await vi.waitFor(
      async () => {
        for (const { settle } of isolates) await settle('/status/500')
        const { everywhere } = await env.GLOBAL_UPSTREAMS.getByName('one probe').inspect()
        expect(everywhere.state).toBe('open')
      },
      { timeout: 2_000, interval: 10 },
    )
    const before = (await env.GLOBAL_UPSTREAMS.getByName('one probe').inspect()).everywhere
    let probes = 0
    const until = Date.now() + before.forMs + 600
    while (Date.now() < until) {
      for (const { ask } of isolates) if (!(await ask('/status/500')).refused) probes++
      await wait(20)
    }
    expect(probes).toBe(1)
    const after = (await env.GLOBAL_UPSTREAMS.getByName('one probe').inspect()).everywhere
    expect(after.openings).toBe(before.openings + 1)
  })

  it('keep the region of their first request, for leases must go back to where they came from', async () => {
    let region: Region = 'weur'
    const named = new Set<string>()
    const { breakers } = makeTestPlatform()
    const counted = {
      getByName: (...[name, options]: Parameters<typeof breakers.getByName>) => {
        named.add(name)
        return breakers.getByName(name, options)
      },
    } as unknown as Platform['breakers']
    const { settle } = makeIsolate('stays', 'local', {}, { region: () => region, breakers: counted })
    await settle('/ok')
    region = 'apac'
    await wait(250)
    await settle('/ok')
    expect([...named]).toEqual(['weur:stays'])
  })
})

describe('what an operator orders', () => {
  it.each<[string, object, boolean]>([
    ['with a breaker', {}, false],
    ['with health checks alone', { circuitBreaker: undefined, healthCheck: { path: '/ok' } }, false],
    ['with nothing, but a route for operators', { circuitBreaker: undefined }, true],
  ])('drains targets of an upstream %s, under traffic within two seconds', async (what, more, hasAdmin) => {
    const { upstream, ask, settle } = makeIsolate(`drain ${what}`, 'weur', more, { hasAdmin })
    const [target] = upstream.targets
    await settle('/ok')
    await wait(1_000)
    await settle('/ok')
    const globalState = env.GLOBAL_UPSTREAMS.getByName(`drain ${what}`)
    const untilCondition = async (condition: string) => {
      const since = Date.now()
      while (target!.condition !== condition && Date.now() - since < 3_000) {
        await ask()
        await wait(50)
      }
      return Date.now() - since
    }
    await globalState.order({ drain: target!.label })
    expect(await untilCondition('drained')).toBeLessThan(2_000)
    await globalState.order({ restore: target!.label })
    expect(await untilCondition('ok')).toBeLessThan(2_000)
  })

  it('forces open, releases, and closes by force what would stay open for long', async () => {
    const circuitBreaker = { ...SETTINGS, openDuration: '60s', maxOpenDuration: '60s' }
    const { upstream, ask, settle } = makeIsolate('force', 'weur', { circuitBreaker })
    const globalState = env.GLOBAL_UPSTREAMS.getByName('force')
    const untilCondition = async (condition: 'ok' | 'open') => {
      const since = Date.now()
      while (upstream.condition() !== condition && Date.now() - since < 3_000) {
        await ask()
        await wait(50)
      }
      return Date.now() - since
    }
    await settle('/ok')
    await globalState.order({ force: 'open' })
    expect(await untilCondition('open')).toBeLessThan(2_000)
    expect(await ask()).toMatchObject({ refused: true })
    await globalState.order({ force: null })
    expect(await untilCondition('ok')).toBeLessThan(2_000)
    await settle('/status/500', 10)
    expect(upstream.condition()).toBe('open')
    await globalState.order({ force: 'closed' })
    expect(await untilCondition('ok')).toBeLessThan(2_000)
    await settle('/status/500', 10)
    expect(upstream.condition()).toBe('ok')
  })
})

it('asks nothing of an upstream that has nothing to hear', async () => {
  const hanging = { getByName: () => expect.unreachable('no object is needed') } as unknown as Platform['breakers']
  const { settle, upstream } = makeIsolate('quiet', 'weur', { circuitBreaker: undefined }, { breakers: hanging })
  await settle('/ok')
  expect([upstream.breakerClient, upstream.breakerStore(), upstream.undeliveredReports()]).toEqual([undefined, 'ok', 0])
})

it('calls its object at most five times a second, also while probes come and go', async () => {
  const { breakers } = makeTestPlatform()
  const calls: number[] = []
  const counted = {
    getByName: (...args: Parameters<typeof breakers.getByName>) => {
      calls.push(Date.now())
      return breakers.getByName(...args)
    },
  } as unknown as Platform['breakers']
  const circuitBreaker = { minimumRequests: 5, openDuration: '50ms', maxOpenDuration: '50ms', halfOpenProbes: 3 }
  const { ask } = makeIsolate('bounded', 'weur', { circuitBreaker }, { breakers: counted })
  const since = Date.now()
  let probes = 0
  while (Date.now() - since < 2_000) {
    if (!(await ask('/status/500')).refused) probes++
    await wait(5)
  }
  expect(probes).toBeGreaterThan(5)
  expect(calls.length).toBeGreaterThan(5)
  // A timer may fire a millisecond early.
  const fastest = calls.slice(5).map((at, i) => at - calls[i]!)
  expect(Math.min(...fastest)).toBeGreaterThanOrEqual(990)
})
