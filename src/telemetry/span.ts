import type { Span } from '../core/trace.ts'
import { formatTraceparent } from './trace-context.ts'

/** Exported as a string, bool, int or double of OTLP; a string then ends after 1,024 characters. */
export type AttributeValue = string | number | boolean

/** What is kept of a span until it is exported. */
export interface SpanRecord {
  /** 32 lower-case hex digits. */
  readonly traceId: string
  /** 16 lower-case hex digits. */
  readonly spanId: string
  /** Absent on the first span of a trace. */
  readonly parentId: string | undefined
  readonly tracestate: string | undefined
  readonly kind: 'internal' | 'server' | 'client'
  name: string
  /** Epoch milliseconds. */
  readonly startMs: number
  /** Undefined while the span runs; never before `startMs`. */
  endMs: number | undefined
  readonly attributes: Record<string, AttributeValue>
  /** Set when the span failed. */
  errorType: string | undefined
}

/** A record that begins at `startMs`; written out flat because there are several in each sampled request. */
export function openSpan(
  traceId: string,
  spanId: string,
  parentId: string | undefined,
  tracestate: string | undefined,
  kind: SpanRecord['kind'],
  name: string,
  startMs: number,
): SpanRecord {
  return {
    traceId,
    spanId,
    parentId,
    tracestate,
    kind,
    name,
    startMs,
    endMs: undefined,
    attributes: {},
    errorType: undefined,
  }
}

/** The recording end of a span: what comes after `end` is ignored, since the record may be on its way by then. */
export function makeSpan(record: SpanRecord, flags: number, now: () => number): Span {
  return {
    traceparent: formatTraceparent(record.traceId, record.spanId, flags),
    set: (name, value) => {
      if (record.endMs === undefined) record.attributes[name] = value
    },
    fail: (errorType) => {
      if (record.endMs === undefined) record.errorType = errorType
    },
    end: () => endSpan(record, now()),
  }
}

/** Ends a span that still runs. The clock can step back: no span ends before it began. */
export function endSpan(record: SpanRecord, atMs: number): void {
  record.endMs ??= Math.max(record.startMs, atMs)
}
