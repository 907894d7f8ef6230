import { describe, expect, it, vi } from 'vitest'
import { contentRange, rangeOf, sliceBody } from '../../src/cache/http/byte-range.ts'
import { isNotModified, notModifiedHeaders } from '../../src/cache/http/stored-response.ts'
import { CAME, httpDate, stored } from './stored.ts'

const MODIFIED = CAME - 5000
const before = { etag: '"a,b"', 'last-modified': httpDate(MODIFIED), date: httpDate(CAME), 'content-length': '10' }
const isSame = (request: Record<string, string>, headers: Record<string, string> = before, status = 200) =>
  isNotModified(new Headers(request), stored(headers, status))

describe('RFC 9110 §13.1.2 If-None-Match', () => {
  it.each(['"a,b"', 'W/"a,b"', '"x", "a,b"', ' "x" ,W/"a,b"', '*', ' * '])('%s has it', (list) =>
    expect(isSame({ 'if-none-match': list })).toBe(true),
  )
  it.each(['"a"', 'a,b', '"A,B"', '"x", "y"', '', '"', '"a,b', 'w/"x'])('%s has it not', (list) =>
    expect(isSame({ 'if-none-match': list })).toBe(false),
  )
  it('§13.2.2: counts, and If-Modified-Since does not', () =>
    expect(isSame({ 'if-none-match': '"x"', 'if-modified-since': httpDate(CAME) })).toBe(false))
  it('is not true of an answer without a tag, but for *', () => {
    expect(isSame({ 'if-none-match': '"a"' }, {})).toBe(false)
    expect(isSame({ 'if-none-match': '*' }, {})).toBe(true)
  })
})

describe('RFC 9110 §13.1.3 If-Modified-Since', () => {
  const since = (time: number, headers?: Record<string, string>) =>
    isSame({ 'if-modified-since': httpDate(time) }, headers)

  it('compares with Last-Modified', () => {
    expect(since(MODIFIED)).toBe(true)
    expect(since(MODIFIED - 1000)).toBe(false)
  })
  it('RFC 9111 §4.3.2: without one with Date', () => {
    expect(since(CAME, { date: httpDate(CAME) })).toBe(true)
    expect(since(CAME - 1000, { date: httpDate(CAME) })).toBe(false)
  })
  it('ignores what is no date', () => expect(isSame({ 'if-modified-since': 'today' })).toBe(false))
})

describe('RFC 9111 §4.3.2', () => {
  it('answers 304 from a stored 200 alone', () => {
    for (const status of [404, 301, 500]) expect(isSame({ 'if-none-match': '*' }, before, status)).toBe(false)
  })
  it('leaves If-Match and If-Unmodified-Since to the origin', () =>
    expect(isSame({ 'if-match': '"x"', 'if-unmodified-since': httpDate(0) })).toBe(false))
})

describe('RFC 9110 §15.4.5 the fields of a 304', () => {
  const names = (...all: string[]) => notModifiedHeaders(all.map((name) => [name, 'x'])).map(([name]) => name)
  it('has what a 200 says about the cache, and not what describes the content', () => {
    const kept = ['cache-control', 'content-location', 'date', 'etag', 'expires', 'vary', 'access-control-allow-origin']
    expect(names(...kept, 'content-type', 'content-length', 'content-encoding', 'last-modified')).toEqual(kept)
  })
  it('has Last-Modified where there is no tag', () => expect(names('last-modified')).toEqual(['last-modified']))
})

describe('RFC 9110 §14.1.2 one range', () => {
  const range = (value: string, ifRange?: string, headers: Record<string, string> = before, status = 200) =>
    rangeOf(
      new Headers({ range: value, ...(ifRange !== undefined && { 'if-range': ifRange }) }),
      stored(headers, status),
    )

  it.each([
    ['bytes=0-0', 0, 0],
    ['bytes=2-5', 2, 5],
    ['BYTES=2-', 2, 9],
    ['bytes=9-99999999999999999999', 9, 9],
    ['bytes=-3', 7, 9],
    ['bytes=-99', 0, 9],
  ])('%s is %i to %i', (value, first, last) => expect(range(value)).toEqual({ first, last, length: 10 }))

  it.each(['bytes=10-', 'bytes=10-12', 'bytes=-0', 'bytes=99999999999999999999-'])('%s cannot be satisfied', (value) =>
    expect(range(value)).toEqual({ unsatisfiable: true, length: 10 }),
  )

  it.each([
    'bytes=5-2',
    'bytes=-',
    'bytes=',
    'bytes=a-b',
    'bytes=0-1,3-4',
    'bytes=0-1,',
    'lines=0-1',
    'bytes 0-1',
    'bytes=0x1-2',
    '0-1',
  ])('%s is ignored', (value) => expect(range(value)).toBeUndefined())

  it('needs a stored 200 of known length', () => {
    expect(range('bytes=0-1', undefined, before, 404)).toBeUndefined()
    for (const length of ['', 'x', '-1', '1, 1'])
      expect(range('bytes=0-1', undefined, { 'content-length': length })).toBeUndefined()
  })

  it('of nothing cannot be satisfied', () => {
    for (const value of ['bytes=0-', 'bytes=-1'])
      expect(range(value, undefined, { 'content-length': '0' })).toMatchObject({ unsatisfiable: true })
  })

  it('§13.1.5: If-Range holds for the same strong validator only', () => {
    const holds = (condition: string, headers?: Record<string, string>) =>
      range('bytes=0-1', condition, headers) !== undefined
    expect(holds('"a,b"')).toBe(true)
    expect(holds(httpDate(MODIFIED))).toBe(true)
    for (const other of ['"x"', 'W/"a,b"', '', 'x', httpDate(MODIFIED - 1000), httpDate(CAME)])
      expect(holds(other)).toBe(false)
    expect(holds('W/"a"', { ...before, etag: 'W/"a"' })).toBe(false)
    // Changed in the second in which it was sent: it may have changed twice.
    expect(holds(httpDate(CAME), { ...before, 'last-modified': httpDate(CAME) })).toBe(false)
  })

  it('§14.4: Content-Range', () => {
    expect(contentRange({ first: 2, last: 5, length: 10 })).toBe('bytes 2-5/10')
    expect(contentRange({ unsatisfiable: true, length: 10 })).toBe('bytes */10')
  })
})

describe('sliceBody', () => {
  const bodyOf = (chunks: readonly string[], cancelled: () => void = () => {}) => {
    const left = [...chunks]
    return new ReadableStream<Uint8Array>({
      pull(controller) {
        const chunk = left.shift()
        if (chunk === undefined) controller.close()
        else controller.enqueue(new TextEncoder().encode(chunk))
      },
      cancel: cancelled,
    })
  }
  const slice = (chunks: readonly string[], first: number, last: number) =>
    new Response(sliceBody(bodyOf(chunks), first, last)).text()

  it('gives the same bytes however they are cut', async () => {
    const text = '0123456789'
    for (const size of [1, 3, 4, 10]) {
      const chunks = text.match(new RegExp(`.{1,${size}}`, 'g'))!
      for (let first = 0; first < 10; first++)
        for (let last = first; last < 10; last++)
          expect(await slice(chunks, first, last)).toBe(text.slice(first, last + 1))
    }
  })

  it('reads no further than it must', async () => {
    let isCancelled = false
    const body = bodyOf(
      Array.from({ length: 1000 }, () => 'a'),
      () => (isCancelled = true),
    )
    expect(await new Response(sliceBody(body, 0, 1)).text()).toBe('aa')
    await vi.waitFor(() => expect(isCancelled).toBe(true))
  })

  it('breaks when the body is too short', async () => await expect(slice(['abc'], 1, 5)).rejects.toThrow(/shorter/))
})
