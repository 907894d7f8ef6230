import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nextOutlierState, maxEjected, outlierDetection } from '../../../src/upstream/balancing/outlier.ts'
import type { TryResult } from '../../../src/upstream/outcome.ts'
import { isEjected, NEVER_EJECTED, type OutlierState } from '../../../src/upstream/target.ts'
import { makeTestExchange } from '../../support/exchange.ts'
import { makeTestTargets } from '../../support/targets.ts'
import { makeTestUpstream } from '../../support/upstream.ts'

const settings = { consecutive5xx: 3, baseEjection: 30_000, maxEjection: 100_000 }
const T = 1_000_000
const next = (standing: OutlierState, result: TryResult, now = T, hasRoom = true) =>
  nextOutlierState(standing, result, settings, () => hasRoom, now)
const after = (standing: OutlierState, results: readonly TryResult[], now = T) =>
  results.reduce((state, result) => next(state, result, now), standing)
const FAILED = ['failed', 'failed', 'failed'] as const

describe('judge, move by move', () => {
  it('ejects at the last failure in a row, not before', () => {
    const two = after(NEVER_EJECTED, ['failed', 'failed'])
    expect(two).toMatchObject({ state: 'in', failures: 2 })
    expect(next(two, 'failed')).toEqual({ state: 'ejected', ejections: 1, since: T, ms: 30_000 })
  })

  it('begins to count anew after a good try, and takes no notice of a void one', () => {
    expect(after(NEVER_EJECTED, ['failed', 'failed', 'good'])).toEqual(NEVER_EJECTED)
    expect(after(NEVER_EJECTED, ['failed', 'void', 'failed', 'void', 'failed'])).toMatchObject({ state: 'ejected' })
    expect(after(NEVER_EJECTED, ['void'])).toBe(NEVER_EJECTED)
  })

  it('keeps a target in while there is no room, and ejects it at the first failure once there is', () => {
    let standing: OutlierState = NEVER_EJECTED
    for (let i = 0; i < 4; i++) standing = next(standing, 'failed', T, false)
    expect(standing).toMatchObject({ state: 'in', failures: 4 })
    expect(next(standing, 'failed')).toMatchObject({ state: 'ejected' })
  })

  it('is not moved by anything while ejected', () => {
    const ejected = after(NEVER_EJECTED, FAILED)
    expect(after(ejected, ['good', 'failed', 'void'], T + 29_999)).toBe(ejected)
    expect([isEjected(ejected, T + 29_999), isEjected(ejected, T + 30_000)]).toEqual([true, false])
  })

  it('lets it come back at the end of the term, with a clean count', () => {
    const ejected = after(NEVER_EJECTED, FAILED)
    expect(next(ejected, 'good', T + 30_000)).toEqual({ state: 'in', failures: 0, ejections: 1, since: T + 30_000 })
    expect(next(ejected, 'failed', T + 30_000)).toMatchObject({ state: 'in', failures: 1 })
  })

  it('ejects for longer each time, up to the maximum', () => {
    let standing: OutlierState = NEVER_EJECTED
    let now = T
    const terms = [1, 2, 3, 4].map(() => {
      standing = after(standing, FAILED, now)
      const ms = standing.state === 'ejected' ? standing.ms : 0
      now += ms
      return ms
    })
    expect(terms).toEqual([30_000, 60_000, 90_000, 100_000])
  })

  it('forgives one time for each baseEjection that a target stayed in', () => {
    const third = { state: 'ejected', ejections: 3, since: T, ms: 90_000 } as const
    const termAfter = (goodFor: number) => {
      const standing = after(next(third, 'good', T + 90_000), FAILED, T + 90_000 + goodFor)
      return standing.state === 'ejected' && standing.ejections
    }
    expect([0, 29_999, 30_000, 60_000, 900_000].map(termAfter)).toEqual([4, 4, 3, 2, 1])
  })

  it('does not keep a target out for longer because the clock was set back', () => {
    expect(isEjected(after(NEVER_EJECTED, FAILED), T - 3_600_000)).toBe(false)
  })
})

describe('mostEjected', () => {
  it.each([
    [1, 100, 0],
    [2, 50, 1],
    [2, 100, 1],
    [3, 50, 1],
    [3, 20, 0],
    [10, 50, 5],
    [10, 100, 9],
    [10, 0, 0],
  ])('of %i targets at %i per cent: %i', (count, percent, most) => {
    expect(maxEjected(count, percent)).toBe(most)
  })
})

it('whatever happens: never all are ejected, never more than the percentage, never for longer than the maximum', async () => {
  const results = fc.array(
    fc.record({
      nth: fc.nat(7),
      status: fc.constantFrom(200, 404, 500, 503, 500),
      later: fc.constantFrom(0, 1, 5_000, 40_000, -3_000),
    }),
    { maxLength: 120 },
  )
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 8 }),
      fc.nat(100),
      results,
      async (count, maxEjectionPercent, events) => {
        const targets = makeTestTargets(...Array.from({ length: count }, () => 1))
        let now = T
        const config = { ...settings, consecutive5xx: 2, maxEjectionPercent, panicThreshold: 50 }
        const around = outlierDetection(targets, config, { now: () => now })
        const x = makeTestExchange()
        for (const { nth, status, later } of events) {
          now += later
          const target = targets[nth % count]!
          await around?.(target)(async () => new Response(null, { status }))(x)
          const ejected = targets.filter(({ outlierState: standing }) => isEjected(standing, now))
          expect(ejected.length).toBeLessThan(count)
          expect(ejected.length * 100).toBeLessThanOrEqual(maxEjectionPercent * count)
          for (const { outlierState: standing } of ejected)
            if (standing.state === 'ejected') expect(standing.ms).toBeLessThanOrEqual(settings.maxEjection)
        }
      },
    ),
    { numRuns: 200 },
  )
})

describe('what counts against a target', () => {
  const targets = [{ url: 'http://t0.test' }, { url: 'http://t1.test' }]
  const ejectedAfter = async (
    fetch: (url: string, init?: RequestInit) => Promise<Response>,
    config = {},
    signal?: AbortSignal,
  ) => {
    const detection = { consecutive5xx: 1, maxEjectionPercent: 50 }
    const { upstream, handler } = makeTestUpstream({ targets, outlierDetection: detection, ...config }, { fetch })
    await handler(makeTestExchange(undefined, signal && { signal }))
    return upstream.describeTargets().some(({ ejected }) => ejected !== undefined)
  }
  const hang = (_: string, init?: RequestInit) =>
    new Promise<Response>((_resolve, reject) => {
      init!.signal!.addEventListener('abort', () => reject(new Error('aborted')))
    })

  it.each([500, 503, 599])('an answer of %i', async (status) => {
    expect(await ejectedAfter(async () => new Response(null, { status }))).toBe(true)
  })

  it.each([200, 301, 404, 429])('not an answer of %i', async (status) => {
    expect(await ejectedAfter(async () => new Response(null, { status }))).toBe(false)
  })

  it('a rejected connection', async () => {
    expect(await ejectedAfter(() => Promise.reject(new Error('Network connection lost.')))).toBe(true)
  })

  it('a timeout', async () => {
    expect(await ejectedAfter(hang, { timeout: '20ms' })).toBe(true)
  })

  it('not a client that leaves', async () => {
    const controller = new AbortController()
    setTimeout(() => controller.abort(), 20)
    expect(await ejectedAfter(hang, {}, controller.signal)).toBe(false)
  })

  it('not a slow try that a hedge overtook', async () => {
    const fetch = (url: string, init?: RequestInit) =>
      url.startsWith('http://t0') ? hang(url, init) : Promise.resolve(new Response())
    expect(await ejectedAfter(fetch, { hedge: { after: '10ms' } })).toBe(false)
  })
})
