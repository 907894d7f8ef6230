import { describe, expect, it, vi } from 'vitest'
import type { Exchange, Span, Trace } from '../../../src/core/exchange.ts'
import type { Platform } from '../../../src/core/platform.ts'
import { problemCode } from '../../../src/core/problem.ts'
import { makeTestExchange } from '../../support/exchange.ts'
import { makeTestPlatform, originUrl } from '../../support/platform.ts'
import { echoOf, makeTestUpstream } from '../../support/upstream.ts'

const DEAD = 'http://127.0.0.1:1'
const at = (path: string) => ({ url: originUrl + path })
const slow = at('/delay/20000')
const good = at('/good')

interface Try {
  readonly url: string
  readonly at: number
  readonly signal: AbortSignal | undefined
}

const isAborted = ({ signal }: Try) => signal?.aborted === true

/** An upstream whose targets are tried in order; `tries` lists the requests sent to them over the real network. */
function make(targets: object[], hedge: object, more: object = {}, parts: Partial<Platform> = {}) {
  const real = parts.fetch ?? makeTestPlatform().fetch
  const tries: Try[] = []
  const fetch: Platform['fetch'] = (url, init) => {
    tries.push({ url, at: Date.now(), signal: init?.signal ?? undefined })
    return real(url, init)
  }
  const made = makeTestUpstream({ targets, hedge, timeout: '5s', tell: ['x-attempt'], ...more }, { ...parts, fetch })
  const ask = async (request?: Request, exchange: Partial<Exchange> = {}) => {
    const x = makeTestExchange(request, exchange)
    const startedAt = Date.now()
    const response = await made.handler(x)
    return { x, response, code: problemCode(response), ms: Date.now() - startedAt }
  }
  return { ...made, tries, ask }
}

const AFTER = { after: '60ms' }

describe('a hedge', () => {
  it('is sent to another target when the first answer is late, and the first good answer wins', async () => {
    const { ask, tries, upstream } = make([slow, good], AFTER)
    const { response, x, ms } = await ask()
    const seen = await echoOf(response)
    expect([response.status, seen.target, seen.headers['x-attempt']]).toEqual([200, '/good/users/7', '2'])
    expect([x.attempts, x.target]).toEqual([2, upstream.targets[1]!.label])
    expect(tries[1]!.at - tries[0]!.at).toBeGreaterThanOrEqual(58)
    expect(ms).toBeLessThan(600)
  })

  it('is sent to another target however light that is', async () => {
    const { ask } = make(
      [
        { ...slow, weight: 100 },
        { ...good, weight: 1 },
      ],
      AFTER,
    )
    expect((await echoOf((await ask()).response)).target).toBe('/good/users/7')
  })

  it('ends the loser, and blames nobody for that', async () => {
    const { ask, tries, upstream } = make([slow, good], AFTER)
    await ask()
    await vi.waitFor(() => expect(upstream.load.inFlight).toBe(0), { timeout: 300, interval: 5 })
    expect(tries.map(isAborted)).toEqual([true, false])
    expect(upstream.targets[0]!.failedAt).toBe(-Infinity)
  })

  it('leaves no span open', async () => {
    const trace = makeRecorder()
    const { ask } = make([slow, good], AFTER)
    await ask(undefined, { trace })
    await vi.waitFor(() => expect(trace.ends).toEqual([1, 1]), { timeout: 300, interval: 5 })
  })

  it('is no failure to the breaker, and what loses to it is none either', async () => {
    const circuitBreaker = { minimumRequests: 2, failureRate: 1 }
    const { ask, upstream } = make([slow, good], AFTER, { circuitBreaker })
    for (const { response, x } of await Promise.all([ask(), ask(), ask()])) {
      expect(response.status).toBe(200)
      await x.settled()
    }
    expect(upstream.condition()).toBe('ok')
  })

  it('does not get the target of a try that lost ejected', async () => {
    const outlierDetection = { consecutive5xx: 1 }
    const { ask, tries } = make(
      [
        { ...slow, weight: 100 },
        { ...good, weight: 1 },
      ],
      AFTER,
      { outlierDetection },
    )
    for (let nth = 0; nth < 3; nth++) await ask()
    expect(tries.filter(({ url }) => url.startsWith(slow.url))).toHaveLength(3)
  })

  it('is ended itself when the first answer comes before its own', async () => {
    const { ask, tries, upstream } = make([at('/delay/200'), slow], AFTER)
    const { response, x } = await ask()
    expect([response.status, x.attempts, x.target]).toEqual([200, 2, upstream.targets[0]!.label])
    await vi.waitFor(() => expect(tries.map(isAborted)).toEqual([false, true]), { timeout: 300 })
    expect(upstream.load.inFlight).toBe(0)
  })

  it('gives up the body of an answer that comes too late', async () => {
    const cancelled: string[] = []
    const fetch: Platform['fetch'] = async (url) => {
      const isSlow = url.includes('/slow')
      await new Promise((over) => setTimeout(over, isSlow ? 150 : 10))
      return new Response(new ReadableStream({ cancel: () => void cancelled.push(url) }))
    }
    const { ask } = make([at('/slow'), good], AFTER, {}, { fetch })
    const { response } = await ask()
    expect(cancelled).toEqual([])
    await vi.waitFor(() => expect(cancelled).toEqual([`${originUrl}/slow/users/7`]), { timeout: 500 })
    await response.body!.cancel()
  })

  it('is not sent when the answer is in time, nor after an error', async () => {
    const { ask, tries } = make([good], AFTER)
    await ask()
    const failing = make([at('/status/503'), good], AFTER)
    expect((await failing.ask()).response.status).toBe(503)
    await new Promise((over) => setTimeout(over, 80))
    expect([tries.length, failing.tries.length]).toEqual([1, 1])
  })

  it('goes on when one of the two fails, and answers with the error that says most when both do', async () => {
    const one = make([at('/delay/150'), at('/status/500')], AFTER)
    expect((await one.ask()).response.status).toBe(200)
    const both = make([at('/status/500'), { url: DEAD }], AFTER, {}, { fetch: late(150) })
    const { response, x, code } = await both.ask()
    expect([response.status, code, x.target]).toEqual([500, undefined, both.upstream.targets[0]!.label])
  })

  it('ends with a fault of the gateway’s own, and is not touched by one of a try that has lost', async () => {
    const faulty: Platform['fetch'] = async (url) => {
      await new Promise((over) => setTimeout(over, url.includes('/late') ? 120 : 40))
      if (url.includes('/good')) return new Response('ok')
      throw new TypeError('refused')
    }
    const { ask } = make([at('/early'), good], AFTER, {}, { fetch: faulty })
    await expect(ask()).rejects.toThrow('refused')
    const lost = make([at('/late'), good], AFTER, {}, { fetch: faulty })
    const { response, x } = await lost.ask()
    await x.settled()
    expect([await response.text(), x.target]).toEqual(['ok', lost.upstream.targets[1]!.label])
  })

  it('sends up to `max`, one after each wait, each to another target', async () => {
    const { ask, tries } = make([slow, at('/delay/20001'), at('/delay/20002'), good], { after: '40ms', max: 3 })
    const { response, x } = await ask()
    expect([response.status, x.attempts, new Set(tries.map(({ url }) => url)).size]).toEqual([200, 4, 4])
    const two = make([slow], { after: '20ms', max: 2 }, { timeout: '200ms' })
    const { code } = await two.ask()
    expect([code, two.tries.length]).toEqual(['upstream-timeout', 3])
  })

  it.each([
    ['POST', {}],
    ['PUT', {}],
    ['DELETE', {}],
    ['OPTIONS', {}],
    ['GET', { upgrade: 'websocket' }],
  ])('is never made of %s with %o', async (method, headers) => {
    const { ask, tries } = make([at('/delay/150'), good], { after: '20ms' })
    await ask(new Request('https://gw.test/a', { method, headers }))
    expect(tries).toHaveLength(1)
  })

  it('is made of HEAD', async () => {
    const { ask, tries } = make([slow, good], AFTER)
    await ask(new Request('https://gw.test/a', { method: 'HEAD' }))
    expect(tries).toHaveLength(2)
  })

  it('is never sent once the client has left, which ends both', async () => {
    const { handler, tries, upstream } = make([slow, slow], { after: '150ms' })
    for (const [leaves, sent] of [
      [80, 1],
      [220, 2],
    ] as const) {
      tries.length = 0
      const client = new AbortController()
      const x = makeTestExchange(undefined, { signal: client.signal })
      const pending = handler(x)
      setTimeout(() => client.abort(), leaves)
      expect(problemCode(await pending)).toBe('client-gone')
      expect([upstream.load.inFlight, x.target]).toEqual([0, expect.any(String)])
      await new Promise((over) => setTimeout(over, 100))
      expect(tries).toHaveLength(sent)
    }
  })

  it('is not sent either when the client has left before anybody looked', async () => {
    const { handler, tries } = make([slow, slow], { after: '30ms' })
    const client = new AbortController()
    const pending = handler(makeTestExchange(undefined, { signal: client.signal }))
    setTimeout(() => client.abort(), 5)
    expect([problemCode(await pending), tries.length]).toEqual(['client-gone', 1])
  })

  it('is never sent past the deadline', async () => {
    const { ask, tries } = make([slow, good], { after: '100ms' })
    const hurried = new Request('https://gw.test/a', { headers: { 'x-request-timeout-ms': '90' } })
    const { code } = await ask(hurried)
    await new Promise((over) => setTimeout(over, 50))
    expect([code, tries.length]).toEqual(['upstream-timeout', 1])
  })
})

describe('what a hedge costs', () => {
  it('is paid from the retry budget, which has its defaults without `retry`', async () => {
    const { ask, tries } = make([at('/delay/60')], { after: '5ms' })
    await Promise.all(Array.from({ length: 40 }, () => ask()))
    // A fifth of 40 requests, and the floor of 3.
    expect(tries).toHaveLength(40 + 8 + 3)
  })

  it('is paid from the same budget as the retries inside it, and makes no request of its own', async () => {
    const retry = { attempts: 1, budget: { percent: 50, minPerSecond: 0 }, backoff: { base: '1ms', max: '1ms' } }
    const { ask, tries } = make([at('/delay/60')], { after: '5ms' }, { retry: { ...retry, perTryTimeout: '30ms' } })
    await Promise.all(Array.from({ length: 20 }, () => ask()))
    expect(tries).toHaveLength(20 + 10)
  })

  it('is a budget of the route’s own where the route has a `retry` of its own', async () => {
    const retry = { attempts: 1, budget: { percent: 0, minPerSecond: 1 } }
    const config = { targets: [at('/delay/60')], hedge: { after: '5ms' }, retry }
    const { handler, upstream } = makeTestUpstream(config)
    const x = makeTestExchange()
    await handler(x)
    expect([x.attempts, upstream.budget.take(Date.now())]).toEqual([2, false])
  })

  it('is nothing where a route says null, or no upstream says anything', async () => {
    const { handler } = makeTestUpstream(
      { targets: [at('/delay/100')], hedge: { after: '5ms' } },
      { override: { hedge: null } },
    )
    const x = makeTestExchange()
    const response = await handler(x)
    expect([x.attempts, response.status]).toEqual([1, 200])
  })

  it('is set by a route', async () => {
    const { handler } = makeTestUpstream({ targets: [at('/delay/100')] }, { override: { hedge: { after: 5, max: 1 } } })
    const x = makeTestExchange()
    await handler(x)
    expect(x.attempts).toBe(2)
  })
})

describe('p95', () => {
  /** Responds after the milliseconds that the path states, without a real network. */
  const fetch: Platform['fetch'] = async (url, init) => {
    const ms = Number(/\/(\d+)$/.exec(url)![1])
    await new Promise((over) => setTimeout(over, ms))
    return init?.signal?.aborted ? Promise.reject(new Error('aborted')) : new Response('ok')
  }
  const get = (ms: number) => new Request(`https://gw.test/${ms}`)

  it('is learnt from this route’s answers: no hedge before there are 20', async () => {
    const { ask, tries } = make([at('')], { after: 'p95' }, {}, { fetch })
    for (let i = 0; i < 19; i++) await ask(get(i < 17 ? 1 : 30))
    await ask(get(120))
    expect(tries).toHaveLength(20)
    const { x, ms } = await ask(get(120))
    expect([x.attempts, ms >= 110]).toEqual([2, true])
    expect(tries[21]!.at - tries[20]!.at).toBeGreaterThanOrEqual(28)
    expect(tries[21]!.at - tries[20]!.at).toBeLessThan(100)
  })

  it('is not learnt from errors or other methods', async () => {
    const failing: Platform['fetch'] = () => Promise.resolve(new Response(null, { status: 500 }))
    const errors = make(
      [at('')],
      { after: 'p95' },
      {},
      { fetch: (url, init) => (nth++ < 30 ? failing(url) : fetch(url, init)) },
    )
    let nth = 0
    for (let i = 0; i < 30; i++) await errors.ask(get(1))
    expect((await errors.ask(get(100))).x.attempts).toBe(1)
    const posts = make([at('')], { after: 'p95' }, {}, { fetch })
    for (let i = 0; i < 30; i++) await posts.ask(new Request('https://gw.test/1', { method: 'POST' }))
    expect((await posts.ask(get(100))).x.attempts).toBe(1)
  })
})

/** A sampled trace that counts how often each of its spans is ended. */
function makeRecorder(): Trace & { ends: number[] } {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-0000000000000001-01'
  const ends: number[] = []
  const start = (): Span => {
    const nth = ends.push(0) - 1
    return { traceparent, set: () => {}, fail: () => {}, end: () => void ends[nth]!++ }
  }
  return { id: traceparent.slice(3, 35), sampled: true, traceparent, tracestate: undefined, start, ends }
}

/** The real network, `ms` milliseconds later. */
function late(ms: number): Platform['fetch'] {
  return async (url, init) => {
    await new Promise((over) => setTimeout(over, ms))
    return fetch(url, init)
  }
}
