import { describe, expect, it } from 'vitest'
import { problemCode } from '../../../src/core/problem.ts'
import { makeTestExchange } from '../../support/exchange.ts'
import { originUrl } from '../../support/platform.ts'
import { echoOf, makeTestUpstream } from '../../support/upstream.ts'

const DEAD = 'http://127.0.0.1:1'
const status = (code: number) => ({ url: `${originUrl}/status/${code}` })
const good = { url: `${originUrl}/good` }
const QUICK = { backoff: { base: '1ms', max: '1ms' } }

async function run(targets: object[], retry: object, request?: Request, more: object = {}) {
  const { handler, upstream } = makeTestUpstream({
    targets,
    retry: { ...QUICK, ...retry },
    tell: ['x-attempt'],
    ...more,
  })
  const x = makeTestExchange(request)
  const response = await handler(x)
  return { response, x, upstream, code: problemCode(response) }
}

describe('what is retried', () => {
  it.each([
    ['connect-failure', { url: DEAD }, 200, 2],
    ['reset', { url: DEAD }, 200, 2],
    ['reset', { url: `${originUrl}/reset` }, 200, 2],
    ['connect-failure', { url: 'http://nowhere.invalid' }, 200, 2],
    ['connect-failure', { url: originUrl.replace('http:', 'https:') }, 200, 2],
    ['connect-failure', status(503), 503, 1],
    ['connect-failure', status(522), 200, 2],
    ['gateway-error', status(503), 200, 2],
    ['gateway-error', status(500), 500, 1],
    ['5xx', status(500), 200, 2],
    ['5xx', status(404), 404, 1],
  ])('%s: %o is answered %i after %i tries', async (retryOn, bad, expected, tries) => {
    const { response, x } = await run([bad, good], { retryOn: [retryOn] })
    expect([response.status, x.attempts]).toEqual([expected, tries])
  })

  it('retries the listed statuses', async () => {
    const retry = { retryOn: ['retriable-status'], retriableStatusCodes: [409] }
    expect((await run([status(409), good], retry)).x.attempts).toBe(2)
    expect((await run([status(408), good], retry)).x.attempts).toBe(1)
  })

  it('numbers the tries for the origin, and goes to another target each time', async () => {
    const { response } = await run([status(503), status(502), good], {})
    const seen = await echoOf(response)
    expect([response.status, seen.headers['x-attempt'], seen.target]).toEqual([200, '3', '/good/users/7'])
  })

  it('leaves a failed target for another, however light', async () => {
    const { response, x } = await run(
      [
        { ...status(503), weight: 100 },
        { ...good, weight: 1 },
      ],
      {},
    )
    expect([response.status, x.attempts]).toEqual([200, 2])
  })

  it('retries a try that took longer than perTryTimeout', async () => {
    const slow = { url: `${originUrl}/delay/20000` }
    const { response, x } = await run([slow, good], { perTryTimeout: '50ms' })
    expect([response.status, x.attempts]).toEqual([200, 2])
  })

  it.each(['POST', 'PUT'])('never repeats %s unless it is listed', async (method) => {
    const { x } = await run([status(503), good], {}, new Request('https://gw.test/a', { method }))
    expect(x.attempts).toBe(1)
  })

  it('repeats a small body, and not a large one', async () => {
    const put = (size: number) => {
      const headers = { 'content-length': String(size) }
      return new Request('https://gw.test/a', { method: 'PUT', body: 'b'.repeat(size), headers })
    }
    const small = await run([status(503), good], { methods: ['PUT'] }, put(9))
    expect(await echoOf(small.response)).toMatchObject({ body: 'b'.repeat(9), headers: { 'x-attempt': '2' } })
    const large = await run([status(503), good], { methods: ['PUT'] }, put(64 * 1024 + 1))
    expect([large.response.status, large.x.attempts]).toEqual([503, 1])
  })

  it('a body that does not come is the client’s failure', async () => {
    const body = new ReadableStream({ type: 'bytes' })
    const request = new Request('https://gw.test/a', { method: 'PUT', body, headers: { 'content-length': '5' } })
    const { x, code } = await run([good], { methods: ['PUT'] }, request, { uploadIdleTimeout: '50ms' })
    expect([code, x.attempts]).toEqual(['body-timeout', 0])
  })
})

describe('when retries end', () => {
  it('returns the upstream’s last own answer', async () => {
    const { response, x, code } = await run([status(503)], { attempts: 2 })
    expect([response.status, x.attempts, code]).toEqual([503, 3, undefined])
    expect((await echoOf(response)).headers['x-attempt']).toBe('3')
  })

  it('prefers a real answer to an invented one', async () => {
    const { response, code } = await run([status(503), { url: DEAD }], { attempts: 1 })
    expect([response.status, code]).toEqual([503, undefined])
  })

  it('stops at the deadline', async () => {
    const slow = { url: `${originUrl}/delay/20000` }
    const started = Date.now()
    const { code } = await run([slow], { attempts: 10, perTryTimeout: '60ms' }, undefined, { timeout: '150ms' })
    expect(code).toBe('upstream-timeout')
    expect(Date.now() - started).toBeLessThan(400)
  })

  it('stops when the budget is spent', async () => {
    const budget = { percent: 0, window: '10s', minPerSecond: 0.1 }
    const { handler } = makeTestUpstream({ targets: [status(503)], retry: { ...QUICK, budget } })
    const first = makeTestExchange()
    const second = makeTestExchange()
    await handler(first)
    await handler(second)
    expect([first.attempts, second.attempts]).toEqual([2, 1])
  })

  it('stops when the client leaves while it waits', async () => {
    const retry = { backoff: { base: '10s', max: '10s' } }
    const { handler } = makeTestUpstream({ targets: [status(503)], retry, timeout: '15s' }, { random: () => 0.9 })
    const client = new AbortController()
    const x = makeTestExchange(undefined, { signal: client.signal })
    const pending = handler(x)
    setTimeout(() => client.abort(), 100)
    await pending
    expect(x.attempts).toBe(1)
  })

  it('is off where a route says null', async () => {
    const { handler } = makeTestUpstream({ targets: [status(503), good], retry: QUICK }, { override: { retry: null } })
    expect((await handler(makeTestExchange())).status).toBe(503)
  })
})

describe('Retry-After', () => {
  const throttled = (after: string, code = 429) => {
    const tries: number[] = []
    const fetch = () => {
      tries.push(Date.now())
      return Promise.resolve(new Response('busy', { status: code, headers: after ? { 'retry-after': after } : {} }))
    }
    return { tries, fetch }
  }
  const tried = async (after: string, retry: object, code?: number) => {
    const { tries, fetch } = throttled(after, code)
    const config = { targets: [good], timeout: '3s', retry: { attempts: 1, ...QUICK, ...retry } }
    await makeTestUpstream(config, { fetch }).handler(makeTestExchange())
    return tries
  }

  it('sets the wait', async () => {
    const [first, second] = await tried('1', {}, 503)
    expect(second! - first!).toBeGreaterThanOrEqual(990)
  })

  it.each([
    ['429 with it', '0', {}, 2],
    ['429 without it', '', {}, 1],
    ['429 when it is not respected', '0', { respectRetryAfter: false }, 1],
    ['past the deadline', '60', {}, 1],
  ])('%s', async (_, after, retry, tries) => {
    expect(await tried(after, retry)).toHaveLength(tries)
  })
})

it('waits with full jitter', async () => {
  const waits: number[] = []
  const retry = { attempts: 3, backoff: { base: '20ms', max: '100ms' } }
  let last = 0
  const fetch = () => {
    waits.push(Date.now() - last)
    last = Date.now()
    return Promise.resolve(new Response(null, { status: 503 }))
  }
  await makeTestUpstream({ targets: [good], retry }, { fetch, random: () => 0.99 }).handler(makeTestExchange())
  // 20, 60, then 140 capped to 100, each times 0.99.
  for (const [i, expected] of [19, 59, 99].entries()) {
    expect(waits[i + 1]).toBeGreaterThanOrEqual(expected - 2)
    expect(waits[i + 1]).toBeLessThan(expected + 60)
  }
})
