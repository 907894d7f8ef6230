import { describe, expect, it } from 'vitest'
import type { Platform } from '../../../src/core/platform.ts'
import { problemCode } from '../../../src/core/problem.ts'
import type { BreakerReport, BreakerUpdate } from '../../../src/upstream/circuit-breaker/breaker-report.ts'
import { makeTestExchange } from '../../support/exchange.ts'
import { makeTestUpstream } from '../../support/upstream.ts'

interface PendingReport {
  readonly report: BreakerReport
  readonly respond: (update: BreakerUpdate) => Promise<void>
}

/** An upstream whose origin and breaker object are the test's own; the object responds when the test says so. */
function makeIsolate(circuitBreaker: object = {}) {
  const reports: PendingReport[] = []
  let isUp = false
  let tries = 0
  const breakers = {
    getByName: () => ({
      report: (_protocol: number, report: BreakerReport) =>
        new Promise<BreakerUpdate>((resolve) => {
          const respond = async (update: BreakerUpdate) => {
            resolve(update)
            for (let turn = 0; turn < 5; turn++) await Promise.resolve()
            await new Promise((done) => setTimeout(done))
          }
          reports.push({ report, respond })
        }),
    }),
  } as unknown as Platform['breakers']
  const { upstream, handler } = makeTestUpstream(
    { targets: [{ url: 'http://origin.test' }], circuitBreaker: { minimumRequests: 20, ...circuitBreaker } },
    {
      breakers,
      fetch: async () => {
        tries++
        await new Promise((done) => setTimeout(done))
        if (!isUp) throw new Error('Network connection lost.')
        return new Response('ok')
      },
    },
  )
  const call = async () => problemCode(await handler(makeTestExchange()))
  return {
    upstream,
    call,
    reports,
    tries: () => tries,
    setUp: (up: boolean) => void (isUp = up),
    /** Sends `count` requests, one after the other. */
    callTimes: async (count: number) => {
      for (let nth = 0; nth < count; nth++) await call()
    },
  }
}

describe('a breaker in the isolate that sees the failures', () => {
  it('opens at once: a dead origin gets no more than the least requests, a fifth more and those in flight', async () => {
    const { call, tries } = makeIsolate()
    const connections = 8
    const codes: (string | undefined)[] = []
    const connection = async () => {
      for (let nth = 0; nth < 40; nth++) codes.push(await call())
    }
    await Promise.all(Array.from({ length: connections }, connection))
    expect(tries()).toBeLessThanOrEqual(20 * 1.2 + connections)
    expect(codes.filter((code) => code !== 'circuit-open').length).toBeLessThanOrEqual(20 + connections)
  })

  it('stays open when the object responds to a report from before', async () => {
    const { upstream, callTimes, reports } = makeIsolate()
    // The first request reports at once, before any call has ended.
    await callTimes(20)
    expect([reports.length, upstream.condition()]).toEqual([1, 'open'])
    await reports[0]!.respond({ state: 'closed' })
    expect(upstream.condition()).toBe('open')
  })

  it('reports what it has seen, and then does what the object says', async () => {
    const { upstream, callTimes, reports } = makeIsolate()
    await callTimes(20)
    await reports[0]!.respond({ state: 'closed' })
    await untilReports(reports, 2)
    expect(reports[1]!.report.counters).toMatchObject({ calls: 20, failures: 20 })
    await reports[1]!.respond({ state: 'closed' })
    expect(upstream.condition()).toBe('ok')
    // What opened it counts no more; it opens again by as many new failures.
    await callTimes(19)
    expect(upstream.condition()).toBe('ok')
    await callTimes(1)
    expect(upstream.condition()).toBe('open')
  })

  it('does not open where an operator has forced it closed', async () => {
    const { upstream, callTimes, reports } = makeIsolate()
    await callTimes(1)
    await reports[0]!.respond({ state: 'closed', forced: true })
    await callTimes(40)
    expect(upstream.condition()).toBe('ok')
  })

  it('does not open below its rate', async () => {
    const { upstream, callTimes, setUp } = makeIsolate()
    setUp(true)
    await callTimes(25)
    setUp(false)
    await callTimes(24)
    expect(upstream.condition()).toBe('ok')
    await callTimes(1)
    expect(upstream.condition()).toBe('open')
  })
})

async function untilReports(reports: readonly unknown[], count: number): Promise<void> {
  while (reports.length < count) await new Promise((done) => setTimeout(done, 10))
}
