import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { problemCode } from '../../src/core/problem.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { originUrl } from '../support/platform.ts'
import { advanceUntilSettled, stalledBody } from '../support/stalled-body.ts'
import { echoOf, makeTestUpstream } from '../support/upstream.ts'

// The clock moves with the timers, so that nothing waits in real time.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }))
afterEach(() => void vi.useRealTimers())

const upstreamWith = (config: object) =>
  makeTestUpstream({ targets: [{ url: originUrl }], ...config }, { now: () => Date.now() })

function makeUpload(body: ReadableStream<Uint8Array>, headers: Record<string, string> = {}) {
  const request = new Request('https://gw.test/echo', { method: 'PUT', headers })
  const x = makeTestExchange(request, { startedAt: Date.now() })
  x.outgoing.body = body
  return x
}

/** A body of `count` bytes, one every second of the faked clock. */
function slowBody(count: number): ReadableStream<Uint8Array> {
  let sent = 0
  return new ReadableStream({
    pull: async (stream) => {
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      stream.enqueue(new TextEncoder().encode('a'))
      if (++sent === count) stream.close()
    },
  })
}

const withLength = { 'content-length': '20' }

describe('a body that makes progress for longer than the timeout', () => {
  it.each([
    ['streams', {}, {}],
    ['streams with its length', {}, withLength],
    ['is kept for a retry', { retry: { methods: ['PUT'] } }, withLength],
    ['is read for a signature', { sign: { keyid: 'gw', alg: 'hmac-sha256', secret: { $secret: 'S' } } }, withLength],
  ])('reaches the origin when it %s', async (_, config, headers) => {
    const { handler } = makeTestUpstream(
      { targets: [{ url: originUrl }], timeout: '3s', ...config },
      { now: () => Date.now(), secret: () => 'a secret of the gateway and its origins' },
    )
    const pending = handler(makeUpload(slowBody(20), headers))
    await advanceUntilSettled(pending)
    const response = await pending
    expect(response.status).toBe(200)
    expect((await echoOf(response)).body).toBe('a'.repeat(20))
  })
})

describe('a body that pauses', () => {
  it.each([
    ['30 s by default', {}, {}, 30_000, 'upload-timeout'],
    ['uploadIdleTimeout', { uploadIdleTimeout: '2s' }, {}, 2_000, 'upload-timeout'],
    ['10 s when it is kept for a retry', { retry: { methods: ['PUT'] } }, withLength, 10_000, 'body-timeout'],
    [
      'uploadIdleTimeout if that is less when it is kept for a retry',
      { retry: { methods: ['PUT'] }, uploadIdleTimeout: '2s' },
      withLength,
      2_000,
      'body-timeout',
    ],
    ['the client’s own deadline', {}, { 'x-request-timeout-ms': '4000' }, 4_000, 'upstream-timeout'],
  ])('is given up after %s', async (_, config, headers, ms, code) => {
    const { upstream, handler } = upstreamWith({ circuitBreaker: { minimumRequests: 1 }, ...config })
    const x = makeUpload(stalledBody('a'), headers)
    const pending = handler(x)
    const waited = await advanceUntilSettled(pending)
    const response = await pending
    expect(problemCode(response)).toBe(code)
    expect(response.status).toBe(code === 'upstream-timeout' ? 504 : 408)
    // A tenth of a second is the resolution; the first 50 ms are without a timer.
    expect(Math.abs(waited - ms)).toBeLessThanOrEqual(100)
    expect([upstream.condition(), upstream.load.inFlight]).toEqual(['ok', 0])
  })
})

it('an upstream that is silent after the body has its whole timeout, and has failed', async () => {
  const { upstream, handler } = upstreamWith({ timeout: '3s', uploadIdleTimeout: '9s' })
  const request = new Request('https://gw.test/delay/20000', { method: 'PUT' })
  const x = makeTestExchange(request, { startedAt: Date.now() })
  x.outgoing.body = slowBody(4)
  const pending = handler(x)
  const waited = await advanceUntilSettled(pending)
  expect(problemCode(await pending)).toBe('upstream-timeout')
  expect(Math.abs(waited - 7_000)).toBeLessThanOrEqual(200)
  expect(upstream.load.inFlight).toBe(0)
})
