import { expect, it } from 'vitest'
import { makeRefreshExchange } from '../../src/cache/refresh.ts'
import { makeTestExchange } from '../support/exchange.ts'

it('a refresh asks where its request came in, and leaves out what the client wanted for itself', () => {
  const request = new Request('http://gw.test/a', {
    headers: {
      'cache-control': 'max-stale',
      pragma: 'no-cache',
      range: 'bytes=0-1',
      'if-none-match': '"1"',
      'x-a': 'b',
    },
    cf: { colo: 'FRA' } as RequestInitCfProperties,
  })
  const x = makeTestExchange(request)
  Object.assign(x.outgoing.headers, Object.fromEntries(request.headers))
  const detached = makeRefreshExchange(x, 1_000)
  expect(detached.request.cf?.colo).toBe('FRA')
  expect([...detached.request.headers]).toEqual([['x-a', 'b']])
  expect([Object.keys(detached.headers), Object.keys(detached.outgoing.headers)]).toEqual([['x-a'], ['x-a']])
  expect(detached.headers['constructor']).toBeUndefined()
})
