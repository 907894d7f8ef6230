import { describe, expect, it } from 'vitest'
import { problemCode } from '../../../src/core/problem.ts'
import { makeTestExchange } from '../../support/exchange.ts'
import { originUrl } from '../../support/platform.ts'
import { makeTestUpstream } from '../../support/upstream.ts'

const RESET = { url: `${originUrl}/reset` }
const GOOD = { url: `${originUrl}/good` }
const status = (code: number) => ({ url: `${originUrl}/status/${code}` })

async function run(targets: object[], init: RequestInit = {}, more: object = {}) {
  const { handler, upstream } = makeTestUpstream({ targets, ...more })
  const x = makeTestExchange(new Request('https://gw.test/', init))
  const response = await handler(x)
  return { status: response.status, code: problemCode(response), tries: x.attempts, upstream }
}

describe('an upstream without retry', () => {
  it.each(['GET', 'HEAD', 'OPTIONS'])(
    'is sent a %s once more whose connection fails, on another target',
    async (method) => {
      expect(await run([RESET, GOOD], { method })).toMatchObject({ status: 200, tries: 2 })
    },
  )

  it('is sent it once more and no more, on its only target too', async () => {
    expect(await run([RESET])).toMatchObject({ status: 502, code: 'upstream-unreachable', tries: 2 })
  })

  it.each<[string, object[], RequestInit, object, number]>([
    ['a POST', [RESET, GOOD], { method: 'POST' }, {}, 502],
    ['a PUT', [RESET, GOOD], { method: 'PUT', body: 'a' }, {}, 502],
    ['an OPTIONS with a body', [RESET, GOOD], { method: 'OPTIONS', body: 'a' }, {}, 502],
    ['a WebSocket', [RESET, GOOD], { headers: { upgrade: 'websocket' } }, {}, 502],
    ['a GET with a response of the upstream’s own', [status(503), GOOD], {}, {}, 503],
    ['a GET that timed out', [{ url: `${originUrl}/delay/20000` }, GOOD], {}, { timeout: '60ms' }, 504],
    ['a GET where retry is null', [RESET, GOOD], {}, { retry: null }, 502],
  ])('is sent only once: %s', async (_, targets, init, more, expected) => {
    expect(await run(targets, init, more)).toMatchObject({ status: expected, tries: 1 })
  })

  it('is sent no more than the budget of retries', async () => {
    const { handler } = makeTestUpstream({ targets: [RESET], circuitBreaker: { minimumRequests: 1000 } })
    const all = Array.from({ length: 40 }, () => makeTestExchange(new Request('https://gw.test/')))
    await Promise.all(all.map(handler))
    const tries = all.reduce((sum, { attempts }) => sum + attempts, 0)
    // 20 % of 40 requests, and 3 beside it.
    expect(tries).toBeGreaterThan(44)
    expect(tries).toBeLessThanOrEqual(51)
  })

  it('counts one request for the breaker, which passed', async () => {
    const { upstream, status: last } = await run([RESET, GOOD], {}, { circuitBreaker: { minimumRequests: 1 } })
    expect([last, upstream.condition()]).toEqual([200, 'ok'])
  })
})

it('a route can switch it off', async () => {
  const { handler } = makeTestUpstream({ targets: [RESET, GOOD] }, { override: { retry: null } })
  const x = makeTestExchange(new Request('https://gw.test/'))
  expect([(await handler(x)).status, x.attempts]).toEqual([502, 1])
})
