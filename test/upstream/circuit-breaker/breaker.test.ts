import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import type { Platform } from '../../../src/core/platform.ts'
import { problemCode } from '../../../src/core/problem.ts'
import { makeTestExchange } from '../../support/exchange.ts'
import { makeTestPlatform, originUrl } from '../../support/platform.ts'
import { makeTestUpstream } from '../../support/upstream.ts'

const SETTINGS = { minimumRequests: 5, openDuration: '300ms', maxOpenDuration: '2s' }

/** An upstream whose origin is up or down as the test says; each call stands for an isolate when they share a name. */
function makeIsolate(name: string, more: object = {}, parts: Partial<Platform> = {}, target = originUrl) {
  const config = { targets: [{ url: target }], timeout: '5s', circuitBreaker: { ...SETTINGS, ...more } }
  const { upstream, handler } = makeTestUpstream(config, { name, ...parts })
  const ask = async (path = '/ok', signal?: AbortSignal) => {
    const startedAt = parts.now?.() ?? Date.now()
    const x = makeTestExchange(new Request(`https://gw.test${path}`), { startedAt, ...(signal && { signal }) })
    const response = await handler(x)
    return { response, x, code: problemCode(response) }
  }
  /** Sends and waits until what it left in `waitUntil` is done. */
  const settle = async (path: string, count = 1) => {
    const all = await Promise.all(Array.from({ length: count }, () => ask(path)))
    await Promise.all(all.map(({ x }) => x.settled()))
  }
  return { upstream, handler, ask, settle }
}

/** A PUT of five bytes whose last comes after `ms` milliseconds. */
function makeSlowUpload(path: string, ms: number) {
  const x = makeTestExchange(
    new Request(`https://gw.test${path}`, { method: 'PUT', headers: { 'content-length': '5' } }),
  )
  const encoder = new TextEncoder()
  x.outgoing.body = new ReadableStream<Uint8Array>({
    start: (stream) => stream.enqueue(encoder.encode('hell')),
    pull: async (stream) => {
      await wait(ms)
      stream.enqueue(encoder.encode('o'))
      stream.close()
    },
  })
  return x
}

const wait = (ms: number) => new Promise((over) => setTimeout(over, ms))

/** The clock of an upstream's objects, and of isolates that are given its `now`; `pass` moves it on. */
async function makeClock(name: string) {
  let passed = 0
  const now = () => Date.now() + passed
  const follow = (instance: { now: () => number }) => {
    instance.now = now
  }
  await runInDurableObject(env.BREAKERS.getByName(`local:${name}`), follow)
  await runInDurableObject(env.GLOBAL_UPSTREAMS.getByName(name), follow)
  return { now, pass: (ms: number) => void (passed += ms) }
}

describe('the circuit breaker', () => {
  it('opens on failures, refuses at once with Retry-After, and does not call the origin', async () => {
    const { upstream, ask, settle } = makeIsolate('opens')
    await settle('/status/500', 5)
    expect(upstream.condition()).toBe('open')
    const { response, code, x } = await ask()
    expect([code, response.status, response.headers.get('retry-after'), x.attempts]).toEqual([
      'circuit-open',
      503,
      '1',
      0,
    ])
  })

  it.each([
    ['further apart than a lease is kept for others', 1_500, '1m'],
    ['further apart than the longest open time', 2_300, '300ms'],
  ])('closes again with requests %s', async (_, gap, maxOpenDuration) => {
    const name = `quiet-${gap}`
    const { now, pass } = await makeClock(name)
    const { settle, ask } = makeIsolate(name, { maxOpenDuration }, { now })
    await settle('/status/500', 5)
    const codes: (string | undefined)[] = []
    for (let i = 0; i < 4; i++) {
      pass(gap)
      const { x, code } = await ask()
      await x.settled()
      codes.push(code)
    }
    expect(codes.at(-1)).toBeUndefined()
  })

  it('tells the other isolates, and one that has just begun', async () => {
    const [first, second] = [makeIsolate('told', { openDuration: '2s' }), makeIsolate('told')]
    await second.settle('/ok')
    await first.settle('/status/500', 5)
    await second.settle('/ok')
    expect(second.upstream.condition()).toBe('open')
    const third = makeIsolate('told')
    const pending = third.ask('/delay/400')
    // Before its first answer is there to report.
    await vi.waitFor(() => expect(third.upstream.condition()).toBe('open'), { timeout: 350, interval: 10 })
    await pending
  })

  it.each([
    ['the origin’s 4xx', '/status/404'],
    ['other origin answers', '/ok'],
  ])('is not opened by %s', async (_, path) => {
    const { upstream, settle } = makeIsolate(`not by ${path}`)
    await settle(path, 10)
    expect(upstream.condition()).toBe('ok')
  })

  it.each([
    ['timeout', '/delay/20000', { 'x-request-timeout-ms': '30' }, 'ok'],
    ['timeout', '/delay/20000', {}, 'open'],
  ])('judges a %s of %s with %o', async (_, path, headers, condition) => {
    const config = { targets: [{ url: originUrl }], timeout: '60ms', circuitBreaker: SETTINGS }
    const { upstream, handler } = makeTestUpstream(config)
    const all = Array.from({ length: 6 }, () => makeTestExchange(new Request(`https://gw.test${path}`, { headers })))
    for (const response of await Promise.all(all.map(handler))) expect(response.status).toBe(504)
    await Promise.all(all.map((x) => x.settled()))
    expect(upstream.condition()).toBe(condition)
  })

  it('is not opened by callers who leave', async () => {
    const { upstream, ask } = makeIsolate('callers')
    const client = new AbortController()
    const all = Array.from({ length: 10 }, () => ask('/delay/300', client.signal))
    await wait(20)
    client.abort()
    for (const { x, code } of await Promise.all(all)) {
      expect(code).toBe('client-gone')
      await x.settled()
    }
    expect(upstream.condition()).toBe('ok')
  })

  it.each([
    [['5xx'], 'ok'],
    [['connect-failure'], 'open'],
    [['timeout', 'connect-failure'], 'open'],
  ])('counts a dead origin with failureOn %o: %s', async (failureOn, condition) => {
    const { upstream, settle } = makeIsolate(`on ${failureOn.join()}`, { failureOn }, {}, 'http://127.0.0.1:1')
    await settle('/', 6)
    expect(upstream.condition()).toBe(condition)
  })

  it('opens on slow calls', async () => {
    const { upstream, settle } = makeIsolate('slow', { slowCallRate: 80, slowCallDuration: '20ms' })
    await settle('/delay/60', 5)
    expect(upstream.condition()).toBe('open')
  })

  it.each([
    ['answered after a slow upload', {}, {}, '/ok', 200, 'ok'],
    ['answered after a slow upload that a retry would repeat', { retry: { methods: ['PUT'] } }, {}, '/ok', 200, 'ok'],
    ['answered slowly after it', {}, {}, '/delay/200', 200, 'open'],
    ['answered after one that took longer than its timeout', { timeout: '100ms' }, {}, '/ok', 200, 'ok'],
    ['silent for its timeout after it', { timeout: '240ms' }, { slowCallDuration: '60s' }, '/delay/20000', 504, 'open'],
    ['not sent the rest of it', { uploadIdleTimeout: '90ms' }, {}, '/ok', 408, 'ok'],
  ])('judges an upstream that was %s', async (_, upstream, breaker, path, status, condition) => {
    const circuitBreaker = { ...SETTINGS, slowCallDuration: '150ms', ...breaker }
    const made = makeTestUpstream({ targets: [{ url: originUrl }], circuitBreaker, ...upstream })
    const all = Array.from({ length: 5 }, () => makeSlowUpload(path, 180))
    for (const response of await Promise.all(all.map(made.handler))) expect(response.status).toBe(status)
    await Promise.all(all.map((x) => x.settled()))
    expect(made.upstream.condition()).toBe(condition)
  })

  it('does not blame the upstream for a probe whose client dawdles', async () => {
    const { now, pass } = await makeClock('dawdles')
    const { ask, settle, upstream, handler } = makeIsolate('dawdles', { slowCallDuration: '150ms' }, { now })
    await settle('/status/500', 5)
    pass(310)
    await (await ask()).x.settled()
    const probe = makeSlowUpload('/ok', 180)
    expect((await handler(probe)).status).toBe(200)
    await probe.settled()
    expect(upstream.condition()).toBe('ok')
  })

  it('recovers although the clock was set back', async () => {
    let behind = 0
    const { now, pass } = await makeClock('clock')
    const { ask, settle } = makeIsolate('clock', {}, { now: () => now() - behind })
    await settle('/status/500', 5)
    pass(310)
    // Probes once in vain, so that there has been a question too.
    await (await ask()).x.settled()
    await (await ask('/status/500')).x.settled()
    behind = 3_600_000
    await vi.waitFor(async () => expect((await ask()).response.status).toBe(200), { timeout: 2_500, interval: 100 })
  })

  it('recovers within its open time and a second at ten requests a second', async () => {
    const { upstream, ask, settle } = makeIsolate('recovers')
    await settle('/status/500', 5)
    const opened = Date.now()
    let recovered = 0
    while (recovered === 0 && Date.now() - opened < 3_000) {
      if ((await ask()).response.status === 200) recovered = Date.now()
      await wait(100)
    }
    expect(recovered - opened).toBeGreaterThanOrEqual(290)
    expect(recovered - opened).toBeLessThanOrEqual(1_300)
    await vi.waitFor(() => expect(upstream.condition()).toBe('ok'))
  })

  it('sends one probe from all isolates, and opens for twice as long when it fails', async () => {
    const isolates = [1, 2, 3].map(() => makeIsolate('probes'))
    await isolates[0]!.settle('/status/500', 5)
    for (const { settle } of isolates.slice(1)) await settle('/ok')
    await wait(300)
    let probes = 0
    const until = Date.now() + 450
    while (Date.now() < until) {
      const answers = await Promise.all(isolates.map(({ ask }) => ask('/status/500')))
      probes += answers.filter(({ code }) => code === undefined).length
      await wait(20)
    }
    expect(probes).toBe(1)
  })

  it('gives the lease back when the probe’s caller leaves', async () => {
    // Longer than a slow call: that it left goes before how long it stayed.
    const { now, pass } = await makeClock('left')
    const { ask, settle, upstream } = makeIsolate('left', { slowCallDuration: '150ms' }, { now })
    await settle('/status/500', 5)
    pass(310)
    await (await ask()).x.settled()
    const client = new AbortController()
    const probe = ask('/delay/20000', client.signal)
    await wait(180)
    client.abort()
    await (await probe).x.settled()
    pass(200)
    await (await ask()).x.settled()
    expect((await ask()).response.status).toBe(200)
    await vi.waitFor(() => expect(upstream.condition()).toBe('ok'))
  })

  it('never waits for the object, and decides alone while that is out of reach', async () => {
    const real = makeTestPlatform().breakers
    let reachable = false
    const breakers = new Proxy(real, {
      get: (namespace, key) => {
        if (key === 'getByName' && !reachable) return () => ({ report: () => new Promise(() => {}) })
        const value: unknown = Reflect.get(namespace, key)
        return typeof value === 'function' ? value.bind(namespace) : value
      },
    })
    const { upstream, ask, settle } = makeIsolate('alone', { openDuration: '1s' }, { breakers })
    const started = Date.now()
    const first = await ask('/status/500')
    expect(Date.now() - started).toBeLessThan(300)
    await settle('/status/500', 5)
    await first.x.settled()
    expect([upstream.condition(), upstream.breakerStore()]).toEqual(['open', 'unreachable'])
    reachable = true
    const recovered = async () => {
      await (await ask()).x.settled()
      expect([upstream.condition(), upstream.breakerStore()]).toEqual(['ok', 'ok'])
    }
    await vi.waitFor(recovered, { timeout: 4_000, interval: 100 })
  })
})

it('calls its object at most five times a second, and the origin once a request', async () => {
  const platform = makeTestPlatform()
  let objectCalls = 0
  let fetches = 0
  const breakers = new Proxy(platform.breakers, {
    get: (namespace, key) => {
      if (key === 'getByName') objectCalls++
      const value: unknown = Reflect.get(namespace, key)
      return typeof value === 'function' ? value.bind(namespace) : value
    },
  })
  const fetch: Platform['fetch'] = (url, init) => {
    fetches++
    return platform.fetch(url, init)
  }
  const { ask } = makeIsolate('counted', {}, { breakers, fetch })
  const started = Date.now()
  const exchanges = []
  while (Date.now() - started < 1_000) exchanges.push((await ask()).x)
  await Promise.all(exchanges.map((x) => x.settled()))
  expect(fetches).toBe(exchanges.length)
  expect(exchanges.length).toBeGreaterThan(20)
  // Five a second, the first question, and the batch that was open at the end.
  expect(objectCalls).toBeGreaterThan(2)
  expect(objectCalls).toBeLessThanOrEqual(7)
})
