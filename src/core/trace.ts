/** A span that is being recorded. Attribute names follow OpenTelemetry's HTTP semantic conventions. */
export interface Span {
  /** The W3C `traceparent` to send, which makes the callee's span a child of this one. */
  readonly traceparent: string
  set(name: string, value: string | number | boolean): void
  /** Marks the span as failed, with the code or class of the error as `error.type`. */
  fail(errorType: string): void
  /** Idempotent. */
  end(): void
}

/** The part of one request in a distributed trace (W3C Trace Context level 2). */
export interface Trace {
  /** 32 lower-case hex digits. */
  readonly id: string
  /** When false nothing is recorded: `start` must not be called, and only `traceparent` and `tracestate` are forwarded. */
  readonly sampled: boolean
  /** Sent to origins when nothing is recorded. */
  readonly traceparent: string
  readonly tracestate: string | undefined
  /** A child of the SERVER span. */
  start(name: string, kind: 'internal' | 'client'): Span
}
