import { describe, expect, it, vi } from 'vitest'
import { compose, type Middleware } from '../../src/core/pipeline.ts'
import { problem } from '../../src/core/problem.ts'
import type { RequestSummary } from '../../src/telemetry/span.ts'
import { makeTracing, withSpan, type Tracing } from '../../src/telemetry/tracing.ts'
import { makeTestExchange } from '../support/exchange.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
const START = 1_800_000_000_000

const facts: RequestSummary = {
  route: 'get-user',
  method: 'GET',
  path: '/users/7',
  scheme: 'https',
  host: 'gw.test',
  clientIp: '192.0.2.1',
  status: 200,
  code: undefined,
  endedAt: START + 5,
}
const waitUntil = (work: Promise<unknown>) => void work.catch(() => {})

/** Tracing with a collector on a closed port, and a clock that the test sets. */
function makeTestTracing(clock = { now: START }, variables: Record<string, string> = {}): Tracing {
  const all: Record<string, string> = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    LOG_LEVEL: 'silent',
    ...variables,
  }
  return makeTracing({ variable: (name) => all[name], now: () => clock.now, fetch })!
}
const begin = (tracing: Tracing, headers: Record<string, string> = {}) => tracing.begin(headers, START)

describe('begin', () => {
  it('is not there without an endpoint', () => {
    expect(makeTracing({ variable: () => undefined, now: Date.now, fetch })).toBeUndefined()
  })

  it('starts a trace of random id, says so, and lets the ratio decide', () => {
    const sampled = begin(makeTestTracing())
    expect(sampled.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-03$/)
    expect(sampled.traceparent.slice(3, 35)).toBe(sampled.id)
    expect(sampled.spans).toHaveLength(1)
    const not = begin(makeTestTracing(undefined, { OTEL_TRACES_SAMPLER_ARG: '0' }))
    expect(not).toMatchObject({ sampled: false, spans: undefined, tracestate: undefined })
    expect(not.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-02$/)
  })

  it.each([
    ['01', '0', true],
    ['03', '0', true],
    ['00', '1', false],
    ['02', '1', false],
  ])('follows its parent: flags %s beat the ratio %s', (flags, ratio, sampled) => {
    const tracing = makeTestTracing(undefined, { OTEL_TRACES_SAMPLER_ARG: ratio })
    const trace = begin(tracing, { traceparent: `00-${TRACE}-${SPAN}-${flags}`, tracestate: 'a=1, b=2' })
    expect(trace).toMatchObject({ id: TRACE, sampled, tracestate: 'a=1,b=2' })
    expect(trace.traceparent).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-${flags}$`))
    expect(trace.traceparent).not.toContain(SPAN)
    expect(trace.spans?.[0].parentId).toBe(sampled ? SPAN : undefined)
  })

  it('takes an invalid traceparent, and the tracestate beside it, for none', () => {
    const trace = begin(makeTestTracing(), { traceparent: `00-${TRACE}-${SPAN}-1`, tracestate: 'a=1' })
    expect(trace.id).not.toBe(TRACE)
    expect(trace.tracestate).toBeUndefined()
    expect(trace.spans![0].parentId).toBeUndefined()
  })

  it('survives a start where nothing is recorded', () => {
    const trace = begin(makeTestTracing(undefined, { OTEL_TRACES_SAMPLER_ARG: '0' }))
    const span = trace.start('GET', 'client')
    span.set('a', 1)
    span.end()
    expect(span.traceparent).toBe(trace.traceparent)
  })
})

describe('finish', () => {
  it('describes the request by the HTTP semantic conventions', () => {
    const tracing = makeTestTracing()
    const trace = begin(tracing)
    tracing.finish(
      trace,
      { ...facts, host: '[::1]:8787', userAgent: 'curl/8', status: 503, code: 'circuit-open' },
      waitUntil,
    )
    expect(trace.spans![0]).toMatchObject({
      name: 'GET get-user',
      kind: 'server',
      startMs: START,
      endMs: START + 5,
      errorType: 'circuit-open',
      attributes: {
        'http.request.method': 'GET',
        'http.route': 'get-user',
        'url.path': '/users/7',
        'url.scheme': 'https',
        'server.address': '::1',
        'server.port': 8787,
        'client.address': '192.0.2.1',
        'user_agent.original': 'curl/8',
        'http.response.status_code': 503,
        'umbral.problem': 'circuit-open',
      },
    })
  })

  it.each([
    [{ status: 404, code: 'not-found', route: undefined }, 'GET', undefined],
    [
      { status: 501, code: 'method-not-implemented', route: undefined, method: 'BREW' },
      'HTTP',
      'method-not-implemented',
    ],
    [{ status: 502 }, 'GET get-user', '502'],
    [{ status: 401, code: 'token-missing' }, 'GET get-user', undefined],
  ] as const)('%j', (parts, name, errorType) => {
    const tracing = makeTestTracing()
    const trace = begin(tracing)
    tracing.finish(trace, { ...facts, ...parts }, waitUntil)
    expect(trace.spans![0]).toMatchObject({ name, errorType })
  })

  it('ends what still runs, never before it began, and only once', () => {
    const clock = { now: START + 3 }
    const tracing = makeTestTracing(clock)
    const trace = begin(tracing)
    const child = trace.start('GET', 'client')
    clock.now = START - 60_000
    const early = trace.start('auth', 'internal')
    early.end()
    tracing.finish(trace, { ...facts, endedAt: START - 1 }, waitUntil)
    child.set('late', true)
    child.fail('late')
    clock.now = START + 999
    child.end()
    tracing.finish(trace, { ...facts, status: 500 }, waitUntil)
    const times = trace.spans!.map(({ startMs, endMs }) => [startMs - START, endMs! - START])
    expect(times).toEqual([
      [0, 0],
      [3, 3],
      [0, 0],
    ])
    expect(trace.spans![0].attributes['http.response.status_code']).toBe(200)
    expect(trace.spans![1]).toMatchObject({ attributes: {}, errorType: undefined })
  })
})

describe('a collector that is down', () => {
  it('is said again after a minute, and at once when the clock was set back', async () => {
    const said = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const clock = { now: START }
    const tracing = makeTestTracing(clock, { LOG_LEVEL: 'warn' })
    const lines = async (at: number) => {
      clock.now = at
      const work: Promise<unknown>[] = []
      tracing.finish(begin(tracing), facts, (one) => void work.push(one))
      await Promise.all(work)
      // Objects of other test files in this isolate may log changes of their state.
      return said.mock.calls.filter(([line]) => String(line).includes('"trace-export"')).length
    }
    expect([await lines(START), await lines(START + 59_000), await lines(START - 3_600_000)]).toEqual([1, 1, 2])
    said.mockRestore()
  })
})

describe('spanned', () => {
  const clock = { now: START }
  const tracing = makeTestTracing(clock)
  const work =
    (ms: number): Middleware =>
    (next) =>
    (x) => {
      clock.now += ms
      return next(x)
    }
  const run = async (layers: Middleware[], end = async () => new Response()) => {
    clock.now = START
    const trace = begin(tracing)
    const result = await compose(layers, end)(makeTestExchange(undefined, { trace })).catch((error: unknown) => error)
    return { result, spans: trace.spans!.slice(1) }
  }
  const server = (spans: readonly { parentId: string | undefined }[]) =>
    new Set(spans.map((span) => span.parentId)).size

  it('covers a policy’s own work, beside the others', async () => {
    const { spans } = await run([withSpan('auth', work(5)), withSpan('rateLimit', work(7))], async () => {
      clock.now += 100
      return new Response()
    })
    expect(spans.map(({ name, startMs, endMs }) => [name, startMs - START, endMs! - START])).toEqual([
      ['auth', 0, 5],
      ['rateLimit', 5, 12],
    ])
    expect(server(spans)).toBe(1)
  })

  it('lets an exchange without a trace pass, such as a refresh beside a sampled request', async () => {
    const handler = compose([withSpan('mirror', work(1)), withSpan('split', work(1))], async () => new Response('ok'))
    expect(await (await handler(makeTestExchange(undefined, { trace: undefined }))).text()).toBe('ok')
  })

  it('carries the code of a refusal, on the policy that refused alone', async () => {
    const refuse: Middleware = () => async () => problem('token-missing')
    const { spans } = await run([withSpan('cors', work(1)), withSpan('auth', refuse), withSpan('rateLimit', work(1))])
    expect(spans.map(({ name, attributes }) => [name, attributes])).toEqual([
      ['cors', {}],
      ['auth', { 'umbral.problem': 'token-missing' }],
    ])
  })

  it.each(['at once', 'later'])('fails with what is thrown %s, and lets it pass', async (when) => {
    const failing: Middleware = () => (x) => {
      if (when === 'at once') throw new TypeError('no')
      return Promise.reject(new TypeError(x.id))
    }
    const { spans, result } = await run([withSpan('auth', failing)])
    expect(result).toBeInstanceOf(TypeError)
    expect(spans[0]).toMatchObject({ errorType: 'TypeError', endMs: START })
  })

  it('keeps concurrent requests apart', async () => {
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let entered = 0
    const slow: Middleware = (next) => async (x) => {
      await gates[entered++]!.promise
      return next(x)
    }
    const handler = compose([withSpan('auth', slow)], async () => new Response())
    clock.now = START
    const traces = [begin(tracing), begin(tracing)]
    const responses = traces.map((trace) => handler(makeTestExchange(undefined, { trace })))
    clock.now = START + 1
    gates[1]!.resolve()
    await responses[1]
    clock.now = START + 9
    gates[0]!.resolve()
    await responses[0]
    expect(traces.map((trace) => trace.spans![1]!.endMs! - START)).toEqual([9, 1])
  })
})
