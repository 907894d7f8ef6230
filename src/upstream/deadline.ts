import type { Middleware } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import { problem } from '../core/problem.ts'

const MS_PER_GRPC_UNIT: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
}

/**
 * Sets the exchange's deadline: `timeout` milliseconds from arrival, or less when the client says so in
 * `x-request-timeout-ms` or `grpc-timeout`. What waits (a try, a pause before a retry) is cut from it, and the timer is each
 * try's own: after response headers nothing is left to disarm.
 */
export function deadline(timeout: number, platform: Platform): Middleware {
  return (next) => (x) => {
    const { 'x-request-timeout-ms': asked, 'grpc-timeout': grpc } = x.headers
    const client = Math.min(asked === undefined ? Infinity : parseTimeoutMs(asked), parseGrpcTimeout(grpc))
    x.deadline = Math.min(x.deadline, x.startedAt + Math.min(timeout, client))
    const left = x.deadline - platform.now()
    if (left <= 0) return Promise.resolve(problem('upstream-timeout'))
    if (grpc !== undefined) x.outgoing.headers['grpc-timeout'] = `${Math.ceil(left)}m`
    return next(x)
  }
}

/** Whole milliseconds; `Infinity` for what is not a number of at most nine digits. */
export function parseTimeoutMs(text: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) : Infinity
}

/** Milliseconds from `250m`, `5S` and the like (gRPC over HTTP/2, "Timeout"); `Infinity` for anything else. */
export function parseGrpcTimeout(text: string | undefined): number {
  if (text === undefined) return Infinity
  const found = /^(\d{1,8})([HMSmun])$/.exec(text)
  return found === null ? Infinity : Number(found[1]) * MS_PER_GRPC_UNIT[found[2]!]!
}

/** Counts an upstream's requests that wait for response headers: retries and hedges of one request count once. */
export interface InFlightRequests {
  count: number
}

/**
 * Refuses what comes while `max` requests wait for the upstream's response headers in this isolate, with 503 `overloaded`: an
 * upstream that gets slower then takes no more of the gateway's memory than that, and its callers learn at once.
 */
export function shed(max: number, waiting: InFlightRequests): Middleware {
  return (next) => (x) => {
    if (waiting.count >= max) return Promise.resolve(problem('overloaded', { headers: { 'retry-after': '1' } }))
    // After `next`, so that nothing is taken when that throws. Its promise settles also when the client leaves.
    const answer = next(x)
    waiting.count++
    const leave = () => void waiting.count--
    answer.then(leave, leave)
    return answer
  }
}
