import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatTraceparent,
  makeSpanId,
  makeTraceId,
  parseTraceparent,
  parseTracestate,
} from '../../src/telemetry/trace-context.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
const ok = (flags: number) => ({ traceId: TRACE, spanId: SPAN, flags })

describe('traceparent', () => {
  it.each([
    [`00-${TRACE}-${SPAN}-01`, ok(1)],
    [`00-${TRACE}-${SPAN}-00`, ok(0)],
    [`00-${TRACE}-${SPAN}-03`, ok(3)],
    // Bits that level 2 does not define.
    [`00-${TRACE}-${SPAN}-ff`, ok(3)],
    [`00-${TRACE}-${SPAN}-fc`, ok(0)],
    // Later versions may be longer.
    [`01-${TRACE}-${SPAN}-01`, ok(1)],
    [`cc-${TRACE}-${SPAN}-01-what-the-future-brings`, ok(1)],
    [`cc-${TRACE}-${SPAN}-01-`, ok(1)],
    [`cc-${TRACE}-${SPAN}-01.more`, undefined],
    [`cc-${TRACE}-${SPAN}-0`, undefined],
    [`ff-${TRACE}-${SPAN}-01`, undefined],
    ['', undefined],
    [`00-${TRACE}-${SPAN}`, undefined],
    [`00-${TRACE}-${SPAN}-1`, undefined],
    [`00-${TRACE}-${SPAN}-011`, undefined],
    [`00-${TRACE}-${SPAN}-01-`, undefined],
    [`00-${TRACE}-${SPAN}-01-more`, undefined],
    [`00-${TRACE.toUpperCase()}-${SPAN}-01`, undefined],
    [`0-${TRACE}-${SPAN}-01`, undefined],
    [`00-${'0'.repeat(32)}-${SPAN}-01`, undefined],
    [`00-${TRACE}-${'0'.repeat(16)}-01`, undefined],
    [`00-${TRACE.slice(1)}-${SPAN}-01`, undefined],
    [`00-${TRACE}0-${SPAN}-01`, undefined],
    [`00_${TRACE}_${SPAN}_01`, undefined],
    [`00-${TRACE}-${SPAN}-0g`, undefined],
    [` 00-${TRACE}-${SPAN}-01`, undefined],
    // Two fields, as Headers joins them.
    [`00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`, undefined],
  ])('%s', (text, expected) => {
    expect(parseTraceparent(text)).toEqual(expected)
  })

  it('reads back whatever it wrote', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3 }), (flags) => {
        const [traceId, spanId] = [makeTraceId(), makeSpanId()]
        expect(parseTraceparent(formatTraceparent(traceId, spanId, flags))).toEqual({ traceId, spanId, flags })
      }),
    )
  })

  it('takes nothing but the grammar', () => {
    const near = fc
      .tuple(fc.constant(`00-${TRACE}-${SPAN}-01`), fc.nat(54), fc.string({ unit: 'grapheme-ascii', maxLength: 2 }))
      .map(([text, at, inserted]) => text.slice(0, at) + inserted + text.slice(at + 1))
    fc.assert(
      fc.property(fc.oneof(fc.string(), near), (text) => {
        const found = parseTraceparent(text)
        if (found === undefined) return
        expect(text).toMatch(/^(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-|$)/)
        expect(text.slice(3, 52)).toBe(`${found.traceId}-${found.spanId}`)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('tracestate', () => {
  const key = 'k'.repeat(256)
  const value = 'v'.repeat(256)
  const members = (count: number) => Array.from({ length: count }, (_, i) => `k${i}=v`).join(',')

  it.each([
    [undefined, undefined],
    ['', undefined],
    [' , ,', undefined],
    ['rojo=00f067aa0ba902b7,congo=t61rcWkgMzE', 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE'],
    ['a=1 ,\tb=2, ,c=3', 'a=1,b=2,c=3'],
    ['a= leading space is kept', 'a= leading space is kept'],
    ['1tenant@vendor/x*y_z-0=1', '1tenant@vendor/x*y_z-0=1'],
    [`${key}=${value}`, `${key}=${value}`],
    [members(32), members(32)],
    [members(33), undefined],
    [`${key}k=1`, undefined],
    [`a=${value}v`, undefined],
    ['a=1,a=2', undefined],
    ['A=1', undefined],
    ['@a=1', undefined],
    ['a', undefined],
    ['=1', undefined],
    ['a=', undefined],
    ['a=1=2', undefined],
    ['a=b\tc', undefined],
    ['a=ü', undefined],
    [`a=${' '.repeat(5_000)}b`, undefined],
  ])('%j', (text, expected) => {
    expect(parseTracestate(text)).toBe(expected)
  })

  it('is a fixed point: what was passed on is passed on again', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab1=, \t@/-_*Z'.split('')), maxLength: 40 }), (text) => {
        const once = parseTracestate(text)
        if (once !== undefined) expect(parseTracestate(once)).toBe(once)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('ids', () => {
  it('are lower-case hex of the right length, and never the same', () => {
    const traces = Array.from({ length: 5_000 }, makeTraceId)
    const spans = Array.from({ length: 5_000 }, makeSpanId)
    expect(new Set(traces).size).toBe(5_000)
    expect(new Set(spans).size).toBe(5_000)
    expect(traces.every((id) => /^[0-9a-f]{32}$/.test(id))).toBe(true)
    expect(spans.every((id) => /^[0-9a-f]{16}$/.test(id))).toBe(true)
  })
})
