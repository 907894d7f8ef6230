import { describe, expect, it } from 'vitest'
import type { Exchange, Span, Trace } from '../../src/core/exchange.ts'
import { problemCode } from '../../src/core/problem.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { originUrl } from '../support/platform.ts'
import { echoOf, makeTestUpstream } from '../support/upstream.ts'

const origin = (path = '') => ({ targets: [{ url: originUrl + path }] })
const DEAD = 'http://127.0.0.1:1'

interface RecordedSpan extends Span {
  readonly name: string
  readonly attributes: Record<string, unknown>
  failure: string | undefined
  ends: number
}

function makeRecorder(sampled: boolean): Trace & { spans: RecordedSpan[] } {
  const spans: RecordedSpan[] = []
  return {
    id: '0af7651916cd43dd8448eb211c80319c',
    sampled,
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-0000000000000001-00',
    tracestate: 'vendor=1',
    spans,
    start: (name) => {
      const span: RecordedSpan = {
        name,
        attributes: {},
        failure: undefined,
        ends: 0,
        traceparent: `00-0af7651916cd43dd8448eb211c80319c-00000000000000f${spans.length}-01`,
        set: (key, value) => void (span.attributes[key] = value),
        // As the real one: what comes after its end is ignored.
        fail: (type) => void (span.failure = span.ends === 0 ? type : span.failure),
        end: () => void span.ends++,
      }
      spans.push(span)
      return span
    },
  }
}

describe('send', () => {
  it('puts the target’s path in front, and says what is left of the time', async () => {
    const { handler } = makeTestUpstream({ ...origin('/v1/'), timeout: '3s', tell: ['x-request-timeout-ms'] })
    const x = makeTestExchange(new Request('https://gw.test/users/7?q=%20a'))
    const seen = await echoOf(await handler(x))
    expect(seen.target).toBe('/v1/users/7?q=%20a')
    expect(Number(seen.headers['x-request-timeout-ms'])).toBeGreaterThan(2_000)
    expect(Number(seen.headers['x-request-timeout-ms'])).toBeLessThanOrEqual(3_000)
    expect(seen.headers).not.toHaveProperty('x-attempt')
    expect([x.attempts, x.target]).toEqual([1, new URL(originUrl).host])
  })

  it('tells an origin nothing that its upstream does not ask for', async () => {
    const { handler } = makeTestUpstream({ ...origin(), retry: {} })
    const { headers } = await echoOf(await handler(makeTestExchange()))
    expect(headers).not.toHaveProperty('x-request-timeout-ms')
    expect(headers).not.toHaveProperty('x-attempt')
  })

  it('sends a body with its length', async () => {
    const { handler } = makeTestUpstream(origin())
    const request = new Request('https://gw.test/a', {
      method: 'POST',
      body: 'hello',
      headers: { 'content-length': '5' },
    })
    const seen = await echoOf(await handler(makeTestExchange(request)))
    expect([seen.method, seen.body, seen.headers['content-length']]).toEqual(['POST', 'hello', '5'])
  })

  it('answers 504 when the response headers are late, and only then', async () => {
    const { handler, upstream } = makeTestUpstream({ ...origin(), timeout: '80ms' })
    const pending = handler(makeTestExchange(new Request('https://gw.test/delay/20000')))
    expect(upstream.load.inFlight).toBe(1)
    const response = await pending
    expect([problemCode(response), response.status, upstream.load.inFlight]).toEqual(['upstream-timeout', 504, 0])
  })

  it('answers 502 for a dead target, without its address', async () => {
    const { handler, upstream } = makeTestUpstream({ targets: [{ url: DEAD }] })
    const response = await handler(makeTestExchange())
    expect([problemCode(response), upstream.load.inFlight]).toEqual(['upstream-unreachable', 0])
    expect(await response.text()).not.toContain('127.0.0.1')
  })

  it('lets a target rest whose fetch was rejected, for a second', async () => {
    let now = Date.now()
    const targets = [{ url: DEAD }, { url: originUrl }]
    const { handler } = makeTestUpstream({ targets, timeout: '5s', retry: null }, { now: () => now })
    const status = async () => (await handler(makeTestExchange(undefined, { startedAt: now }))).status
    expect([await status(), await status(), await status(), await status()]).toEqual([502, 200, 200, 200])
    now += 1_001
    expect(new Set([await status(), await status()])).toEqual(new Set([200, 502]))
  })

  it('ends with the client', async () => {
    const { handler, upstream } = makeTestUpstream(origin())
    const client = new AbortController()
    const x = makeTestExchange(new Request('https://gw.test/delay/20000'), { signal: client.signal })
    const pending = handler(x)
    client.abort()
    expect(problemCode(await pending)).toBe('client-gone')
    expect(upstream.load.inFlight).toBe(0)
  })

  it('answers with the rule that the client’s body broke, not with the origin’s view of it', async () => {
    const { handler } = makeTestUpstream(origin())
    const x: Exchange = makeTestExchange(new Request('https://gw.test/a', { method: 'POST', body: 'x' }))
    x.outgoing.body = new ReadableStream({
      pull: (stream) => {
        x.uploadProblem = 'body-too-large'
        stream.error(new Error('too large'))
      },
    })
    expect(problemCode(await handler(x))).toBe('body-too-large')
  })
})

describe('the trace', () => {
  it('is a CLIENT span a try, without the query', async () => {
    const trace = makeRecorder(true)
    const { handler } = makeTestUpstream(origin('/status/404'))
    const response = await handler(makeTestExchange(new Request('https://gw.test/a?token=s3cret'), { trace }))
    const seen = await echoOf(response)
    expect(seen.headers).toMatchObject({ traceparent: trace.spans[0]!.traceparent, tracestate: 'vendor=1' })
    expect(trace.spans).toMatchObject([{ name: 'GET', ends: 1, failure: '404' }])
    expect(trace.spans[0]!.attributes).toEqual({
      'http.request.method': 'GET',
      'server.address': '127.0.0.1',
      'server.port': Number(new URL(originUrl).port),
      'url.full': `${originUrl}/status/404/a`,
      'http.response.status_code': 404,
    })
  })

  it('counts tries and names failures', async () => {
    const trace = makeRecorder(true)
    const { handler } = makeTestUpstream({ targets: [{ url: DEAD }, { url: originUrl }], retry: {} })
    await handler(makeTestExchange(undefined, { trace }))
    expect(trace.spans).toMatchObject([
      { failure: 'connect-failure', ends: 1 },
      { failure: undefined, ends: 1, attributes: { 'http.request.resend_count': 1, 'http.response.status_code': 200 } },
    ])
  })

  it('is passed on and not recorded when not sampled', async () => {
    const trace = makeRecorder(false)
    const { handler } = makeTestUpstream(origin())
    const { headers } = await echoOf(await handler(makeTestExchange(undefined, { trace })))
    expect(trace.spans).toEqual([])
    expect(headers).toMatchObject({ traceparent: trace.traceparent, tracestate: 'vendor=1' })
  })

  it('ends when the client leaves', async () => {
    const trace = makeRecorder(true)
    const { handler } = makeTestUpstream(origin())
    const client = new AbortController()
    const x = makeTestExchange(new Request('https://gw.test/delay/500'), { trace, signal: client.signal })
    const pending = handler(x)
    client.abort()
    await pending
    expect(trace.spans).toMatchObject([{ failure: 'client-gone' }])
  })
})
