import type { HeaderEdit } from '../core/exchange.ts'
import type { LimiterSpec, Verdict } from './limiter.ts'

/** How the limiters of one layer say what is left: in place of what stands in the answer by then, or beside it. */
export type FieldOp = 'set' | 'append'

/** A limiter's item in RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers): a String with Integer parameters (RFC 9651). */
export function policyItem(name: string, { limit, windowMs, burst }: LimiterSpec): string {
  return `"${name}";q=${limit};w=${windowMs / 1_000}${burst === undefined ? '' : `;burst=${burst}`}`
}

/** Its item in RateLimit. */
export function limitItem(name: string, { remaining, resetMs }: Verdict): string {
  return `"${name}";r=${remaining};t=${wholeSeconds(resetMs)}`
}

/** Rounded up: whoever waits that long has waited long enough. */
export function wholeSeconds(ms: number): number {
  return Math.ceil(ms / 1_000)
}

/** `item` at the end of a list (RFC 9651 §3.1), which may be empty. */
export function listed(list: string, item: string): string {
  return list === '' ? item : `${list}, ${item}`
}

/** The two fields of one layer; a list without items is no field. */
export function fieldEdits(op: FieldOp, policies: string, limits: string): HeaderEdit[] {
  const edits: HeaderEdit[] = []
  if (policies !== '') edits.push({ op, name: 'ratelimit-policy', value: policies })
  if (limits !== '') edits.push({ op, name: 'ratelimit', value: limits })
  return edits
}
