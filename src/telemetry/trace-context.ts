/** The parent in a `traceparent` (W3C Trace Context level 2 §3.2). */
export interface ParentContext {
  /** 32 lower-case hex digits. */
  readonly traceId: string
  /** The caller's span, 16 lower-case hex digits. */
  readonly spanId: string
  /** `SAMPLED` and `RANDOM`; bits that level 2 does not define are cleared. */
  readonly flags: number
}

/** The caller records its part of the trace. */
export const SAMPLED = 0b01
/** The last 56 bits of the trace id are random, so that all services can sample by them. */
export const RANDOM = 0b10

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const ZEROS = /^0+$/

/**
 * Parses a `traceparent`; undefined for an invalid one, which counts as absent.
 * A version after 00 may have more fields behind the flags; they are ignored.
 */
export function parseTraceparent(text: string): ParentContext | undefined {
  const [, version, traceId, spanId, flags, more] = TRACEPARENT.exec(text) ?? []
  if (traceId === undefined || spanId === undefined || ZEROS.test(traceId) || ZEROS.test(spanId)) return undefined
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined
  return { traceId, spanId, flags: Number.parseInt(flags!, 16) & (SAMPLED | RANDOM) }
}

/** Writes a version 00 `traceparent`. */
export function formatTraceparent(traceId: string, spanId: string, flags: number): string {
  return `00-${traceId}-${spanId}-0${flags}`
}

const MEMBER = /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/
const MAX_MEMBERS = 32
/** The specification requires at least 512. */
const MAX_LENGTH = 4_096

/**
 * A `tracestate` to forward, in its order and without empty members; undefined when there is none, when a member
 * breaks the grammar (level 2 §3.3), or when it is longer than 4,096 characters.
 */
export function parseTracestate(text: string | undefined): string | undefined {
  if (!text || text.length > MAX_LENGTH) return undefined
  const members = text.split(',').flatMap((member) => member.trim() || [])
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf('='))))
  const valid = members.length <= MAX_MEMBERS && keys.size === members.length && members.every((m) => MEMBER.test(m))
  return valid && members.length > 0 ? members.join(',') : undefined
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Random bytes for 64 traces at once: a call into the runtime for each id would cost more than the rest of a trace. */
const POOL_BYTES = 2_048

const pool = new Uint8Array(POOL_BYTES)
let used = POOL_BYTES

function randomHex(bytes: number): string {
  if (used + bytes > POOL_BYTES) {
    crypto.getRandomValues(pool)
    used = 0
  }
  let hex = ''
  for (const end = used + bytes; used < end; used++) hex += HEX[pool[used]!]
  return hex
}

/** A new W3C trace id: 32 lower-case hex digits, all of them random. Not at module scope: Workers have no randomness there. */
export function makeTraceId(): string {
  return randomHex(16)
}

/** A new W3C span id: 16 lower-case hex digits, all of them random. Not at module scope. */
export function makeSpanId(): string {
  return randomHex(8)
}
