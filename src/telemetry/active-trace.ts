import type { Span, Trace } from '../core/exchange.ts'
import { makeSpan, openSpan, type SpanRecord } from './span.ts'
import {
  formatTraceparent,
  makeSpanId,
  makeTraceId,
  parseTraceparent,
  parseTracestate,
  RANDOM,
  SAMPLED,
} from './trace-context.ts'

/** The trace of one request while it runs. */
export interface ActiveTrace extends Trace {
  /** The SERVER span and after it its children; undefined when nothing is recorded. */
  readonly spans: [server: SpanRecord, ...children: SpanRecord[]] | undefined
}

/** Continues the caller's trace; starts one when the caller sent no valid `traceparent`. Times are epoch milliseconds. */
export function beginTrace(
  headers: Readonly<Record<string, string>>,
  startedAt: number,
  isSampled: (traceId: string) => boolean,
  now: () => number,
): ActiveTrace {
  const inbound = headers['traceparent']
  const parent = inbound === undefined ? undefined : parseTraceparent(inbound)
  const id = parent?.traceId ?? makeTraceId()
  const sampled = parent === undefined ? isSampled(id) : (parent.flags & SAMPLED) !== 0
  const flags = (parent === undefined ? RANDOM : parent.flags & RANDOM) | (sampled ? SAMPLED : 0)
  const spanId = makeSpanId()
  const traceparent = formatTraceparent(id, spanId, flags)
  const tracestate = parent && parseTracestate(headers['tracestate'])
  if (!sampled) return { id, sampled, traceparent, tracestate, spans: undefined, start: startNoopSpan }

  const spans: ActiveTrace['spans'] = [openSpan(id, spanId, parent?.spanId, tracestate, 'server', '', startedAt)]
  const start = (name: string, kind: 'internal' | 'client'): Span => {
    // The clock can step back; a child must not start before its parent.
    const child = openSpan(id, makeSpanId(), spanId, tracestate, kind, name, Math.max(startedAt, now()))
    spans.push(child)
    return makeSpan(child, flags, now)
  }
  return { id, sampled, traceparent, tracestate, spans, start }
}

function startNoopSpan(this: Trace): Span {
  return { traceparent: this.traceparent, set: () => {}, fail: () => {}, end: () => {} }
}

/** Where the random part of a trace id is (W3C Trace Context level 2 §3.2.2.3): the last 56 bits, of which a number holds 48 with room. */
const RANDOM_PART = [18, 30] as const
const RANDOM_DIGITS = 12
const RANDOM_VALUES = 16 ** RANDOM_DIGITS

/**
 * Compiles `OTEL_TRACES_SAMPLER_ARG`, a ratio from 0 to 1, to a decision on a trace id: the same one in every process
 * that keeps this ratio, and a trace kept at some ratio is kept at every higher one. Everything is sampled when the
 * ratio is unset or is not one.
 */
export function compileRatio(setting: string | undefined): (traceId: string) => boolean {
  const ratio = Number(setting ?? 1)
  if (!(ratio >= 0 && ratio < 1)) return () => true
  const threshold = Math.ceil((1 - ratio) * RANDOM_VALUES)
  if (threshold === RANDOM_VALUES) return () => false
  // Hex texts of one length and case are ordered like their numbers, so no id has to be parsed.
  const minimum = threshold.toString(16).padStart(RANDOM_DIGITS, '0')
  return (traceId) => traceId.slice(...RANDOM_PART) >= minimum
}
