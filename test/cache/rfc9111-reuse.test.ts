import { describe, expect, it } from 'vitest'
import { NO_REQUEST_DIRECTIVES } from '../../src/cache/http/directives.ts'
import { judgeReuse } from '../../src/cache/http/reuse.ts'
import { CAME, SILENT, stored, verdict } from './stored.ts'

const use = (cacheControl: string, after: number, asked?: string, route = SILENT) =>
  verdict({ 'cache-control': cacheControl }, after, asked === undefined ? {} : { 'cache-control': asked }, route).use

describe('RFC 9111 §4 reuse', () => {
  it('serves while it is younger than its life, and then validates', () => {
    expect(verdict({ 'cache-control': 'max-age=10' }, 9)).toEqual({
      use: 'serve',
      fwd: undefined,
      age: 9,
      ttl: 1,
      onError: true,
    })
    expect(verdict({ 'cache-control': 'max-age=10' }, 10)).toEqual({
      use: 'validate',
      fwd: 'stale',
      age: 10,
      ttl: 0,
      onError: false,
    })
  })

  it('§5.2.2.4: no-cache is validated each time, and is no help when the origin fails', () =>
    expect(verdict({ 'cache-control': 'max-age=10, no-cache, stale-if-error=60' }, 1)).toMatchObject({
      use: 'validate',
      fwd: 'stale',
      onError: false,
    }))

  it('§5.2.2.2: must-revalidate is fresh while it is fresh', () =>
    expect(use('max-age=10, must-revalidate', 9)).toBe('serve'))
})

describe('RFC 9111 §4.2.4 stale answers', () => {
  const generous = { override: false, staleWhileRevalidate: 60, staleIfError: 60 }

  it.each(['must-revalidate', 'proxy-revalidate', 'no-cache', 's-maxage=10'])('%s forbids them', (directive) => {
    for (const asked of [undefined, 'max-stale', 'stale-if-error=99']) {
      expect(use(`max-age=10, ${directive}`, 11, asked, generous)).toBe('validate')
      const request = asked === undefined ? undefined : { 'cache-control': asked }
      expect(verdict({ 'cache-control': `max-age=10, ${directive}` }, 11, request, generous).onError).toBe(false)
    }
  })

  it.each(['must-revalidate', 'proxy-revalidate', 'no-cache'])(
    '%s also forbids those the origin allows',
    (directive) => {
      const headers = { 'cache-control': `max-age=10, ${directive}, stale-while-revalidate=9, stale-if-error=9` }
      expect(verdict(headers, 11)).toMatchObject({ use: 'validate', onError: false })
    },
  )

  it('s-maxage does not take back what its sender allows beside it (RFC 5861)', () => {
    const headers = { 'cache-control': 's-maxage=10, stale-while-revalidate=5, stale-if-error=9' }
    expect(verdict(headers, 14)).toMatchObject({ use: 'serve-and-refresh', onError: true })
    expect(verdict(headers, 15)).toMatchObject({ use: 'validate', onError: true })
    expect(verdict(headers, 19)).toMatchObject({ use: 'validate', onError: false })
  })
})

describe('RFC 9111 §5.2.1 request directives', () => {
  it.each([
    ['§5.2.1.1 max-age: no older', 'max-age=100', 5, 'max-age=4', 'validate'],
    ['§5.2.1.1 max-age: young enough', 'max-age=100', 4, 'max-age=4', 'serve'],
    ['§5.2.1.2 max-stale of any age', 'max-age=10', 9999, 'max-stale', 'serve'],
    ['§5.2.1.2 max-stale: within', 'max-age=10', 14, 'max-stale=5', 'serve'],
    ['§5.2.1.2 max-stale: beyond', 'max-age=10', 15, 'max-stale=5', 'validate'],
    ['§5.2.1.2 max-stale that is no number', 'max-age=10', 11, 'max-stale=x', 'validate'],
    ['§5.2.1.3 min-fresh: enough left', 'max-age=10', 5, 'min-fresh=5', 'serve'],
    ['§5.2.1.3 min-fresh: too little left', 'max-age=10', 6, 'min-fresh=5', 'validate'],
    [
      '§5.2.1.3 min-fresh before stale-while-revalidate',
      'max-age=1, stale-while-revalidate=9',
      2,
      'min-fresh=1',
      'validate',
    ],
    ['§5.2.1.4 no-cache', 'max-age=10', 1, 'no-cache', 'validate'],
    ['§5.2.1.4 no-cache in any case', 'max-age=10', 1, 'No-Cache', 'validate'],
    ['§5.2.1.6 no-transform says nothing here', 'max-age=10', 1, 'no-transform', 'serve'],
  ])('%s', (_, answer, after, asked, expected) => expect(use(answer, after, asked)).toBe(expected))

  it('names the request as the reason while the answer is fresh', () =>
    expect(verdict({ 'cache-control': 'max-age=10' }, 1, { 'cache-control': 'no-cache' }).fwd).toBe('request'))

  it('§5.4: Pragma counts where there is no Cache-Control', () => {
    const headers = { 'cache-control': 'max-age=10' }
    expect(verdict(headers, 1, { pragma: 'No-Cache' }).use).toBe('validate')
    expect(verdict(headers, 1, { pragma: 'no-cache', 'cache-control': 'max-age=5' }).use).toBe('serve')
    expect(verdict(headers, 1, { pragma: 'x-no-cache' }).use).toBe('serve')
  })
})

describe('RFC 5861', () => {
  it('§3: serves and refreshes within stale-while-revalidate', () => {
    const headers = { 'cache-control': 'max-age=10, stale-while-revalidate=5' }
    expect(verdict(headers, 14)).toMatchObject({ use: 'serve-and-refresh', fwd: 'stale', ttl: -4 })
    expect(verdict(headers, 15).use).toBe('validate')
  })

  it('§4: is the answer to an error within stale-if-error, of either side', () => {
    const headers = { 'cache-control': 'max-age=10, stale-if-error=5' }
    expect(verdict(headers, 14).onError).toBe(true)
    expect(verdict(headers, 15).onError).toBe(false)
    expect(verdict(headers, 15, { 'cache-control': 'stale-if-error=6' }).onError).toBe(true)
  })

  it('takes the route’s times where the origin is silent, and with override always', () => {
    const route = { override: false, staleWhileRevalidate: 100, staleIfError: 100 }
    const headers = { 'cache-control': 'max-age=10, stale-while-revalidate=5' }
    expect(verdict(headers, 50, {}, route)).toMatchObject({ use: 'validate', onError: true })
    expect(verdict(headers, 50, {}, { ...route, override: true }).use).toBe('serve-and-refresh')
  })
})

describe('a soft purge', () => {
  const at = (now: number, purged: number, headers = { 'cache-control': 'max-age=100, stale-while-revalidate=10' }) =>
    judgeReuse(stored(headers), NO_REQUEST_DIRECTIVES, CAME + now * 1000, SILENT, CAME + purged * 1000)

  it('ends the life when it came, and its stale times start there', () => {
    expect(at(20, 15)).toMatchObject({ use: 'serve-and-refresh', ttl: -5 })
    expect(at(25, 15).use).toBe('validate')
  })

  it('gives what was stale before no new life', () => expect(at(120, 115).use).toBe('validate'))
})
