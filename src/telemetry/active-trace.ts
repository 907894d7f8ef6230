import { makeSpanId, makeTraceId } from './ids.ts'
import { makeSpan, openSpan, type SpanRecord } from './span.ts'
import type { Span, Trace } from '../core/trace.ts'
import { formatTraceparent, parseTraceparent, parseTracestate, RANDOM, SAMPLED } from './trace-context.ts'

/** A trace that one request takes part in. */
export interface ActiveTrace extends Trace {
  /** The SERVER span and after it its children; undefined when nothing is recorded. */
  readonly spans: [server: SpanRecord, ...children: SpanRecord[]] | undefined
}

/** Continues the caller's trace, or starts one where the caller sent none or an invalid one. */
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
  if (!sampled) return { id, sampled, traceparent, tracestate, spans: undefined, start: startNothing }

  const spans: ActiveTrace['spans'] = [openSpan(id, spanId, parent?.spanId, tracestate, 'server', '', startedAt)]
  const start = (name: string, kind: 'internal' | 'client'): Span => {
    // The clock can step back; a child does not begin before its parent.
    const child = openSpan(id, makeSpanId(), spanId, tracestate, kind, name, Math.max(startedAt, now()))
    spans.push(child)
    return makeSpan(child, flags, now)
  }
  return { id, sampled, traceparent, tracestate, spans, start }
}

function startNothing(this: Trace): Span {
  return { traceparent: this.traceparent, set: () => {}, fail: () => {}, end: () => {} }
}
