import { expect, it, vi } from 'vitest'
import { problemCode } from '../../src/core/problem.ts'
import { compileUpstream } from '../../src/upstream/upstream.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestPlatform, originUrl } from '../support/platform.ts'
import { makeTestUpstream } from '../support/upstream.ts'

const get = (path: string) => makeTestExchange(new Request(`https://gw.test${path}`))
const QUICK = { backoff: { base: '1ms', max: '1ms' } }

/** An upstream with a `maxConcurrent` of 2 that counts the requests to its origin. */
function make(more: object = {}, fetch = makeTestPlatform().fetch) {
  let tries = 0
  const counted = (url: string, init?: RequestInit) => {
    tries++
    return fetch(url, init)
  }
  const config = { targets: [{ url: originUrl }], maxConcurrent: 2, ...more }
  return { ...makeTestUpstream(config, { fetch: counted }), tries: () => tries }
}

it('answers what is too much at once with 503 and Retry-After, without any work for the origin', async () => {
  const { handler, upstream, tries } = make({ retry: QUICK })
  const two = [handler(get('/delay/100')), handler(get('/delay/100'))]
  const third = await handler(get('/ok'))
  expect([problemCode(third), third.status, third.headers.get('retry-after')]).toEqual(['overloaded', 503, '1'])
  expect([tries(), upstream.inFlightRequests.count]).toEqual([2, 2])
  for (const response of await Promise.all(two)) expect(response.status).toBe(200)
  expect(upstream.inFlightRequests.count).toBe(0)
  expect((await handler(get('/ok'))).status).toBe(200)
})

it('is one bound for all routes of the upstream', async () => {
  const { handler, upstream } = make()
  const other = compileUpstream(upstream, { timeout: 9_000 }, makeTestPlatform())
  const two = [handler(get('/delay/100')), other(get('/delay/100'))]
  expect([problemCode(await handler(get('/ok'))), problemCode(await other(get('/ok')))]).toEqual([
    'overloaded',
    'overloaded',
  ])
  await Promise.all(two)
})

it('is no failure to the breaker', async () => {
  const { handler, upstream } = make({ circuitBreaker: { minimumRequests: 3, failureRate: 10 } })
  const two = [get('/delay/200'), get('/delay/200')]
  const pending = two.map(handler)
  const shed = Array.from({ length: 20 }, () => get('/ok'))
  for (const response of await Promise.all(shed.map(handler))) expect(problemCode(response)).toBe('overloaded')
  await Promise.all(pending)
  await Promise.all([...two, ...shed].map((x) => x.settled()))
  expect(upstream.condition()).toBe('ok')
})

it('counts until the response headers: a body that is still coming does not', async () => {
  const { readable, writable } = new IdentityTransformStream()
  const { handler, upstream } = make({}, () => Promise.resolve(new Response(readable)))
  const response = await handler(get('/'))
  expect(upstream.inFlightRequests.count).toBe(0)
  await writable.close()
  await response.text()
})

it.each([
  ['answers', '/ok', 200],
  ['an error', '/status/500', 500],
  ['a reset', '/reset', 502],
  ['a timeout', '/delay/20000', 504],
])('is back at 0 after %s', async (_, path, status) => {
  const { handler, upstream } = make({ timeout: '80ms', retry: { ...QUICK, attempts: 1 } })
  const pending = handler(get(path))
  expect(upstream.inFlightRequests.count).toBe(1)
  expect([(await pending).status, upstream.inFlightRequests.count]).toEqual([status, 0])
})

it('is back at 0 after a fault of the gateway’s own, thrown or rejected', async () => {
  const rejected = make({}, () => Promise.reject(new TypeError('refused')))
  await expect(rejected.handler(get('/'))).rejects.toThrow('refused')
  await vi.waitFor(() => expect(rejected.upstream.inFlightRequests.count).toBe(0), { timeout: 200, interval: 5 })
})

it('is back at 0 when clients leave', async () => {
  const { handler, upstream } = make({ retry: {} })
  const client = new AbortController()
  const pending = handler(makeTestExchange(new Request('https://gw.test/delay/20000'), { signal: client.signal }))
  setTimeout(() => client.abort(), 20)
  await pending
  expect(upstream.inFlightRequests.count).toBe(0)
})
