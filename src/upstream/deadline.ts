import type { Exchange } from '../core/exchange.ts'
import type { Middleware } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import { problem } from '../core/problem.ts'
import { hasUpload, markUploadEnd } from './upload.ts'

const MS_PER_GRPC_UNIT: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
}

/**
 * Sets the exchange's deadline: `timeout` milliseconds from the end of the request's body, or from arrival where it has none; less when the
 * client asks for less, from arrival, in `x-request-timeout-ms` or `grpc-timeout`. Tries and waits before retries end by it. Each try has its
 * own timer, so none is left to clear after the response headers. While a body streams, `watchUpload` limits the try.
 */
export function deadline(timeout: number, platform: Platform): Middleware {
  return (next) => (x) => {
    const { 'x-request-timeout-ms': requested, 'grpc-timeout': grpc } = x.headers
    const clientTimeout = Math.min(
      requested === undefined ? Infinity : parseTimeoutMs(requested),
      parseGrpcTimeout(grpc),
    )
    const now = platform.now()
    x.deadline = Math.min(x.deadline, timeoutStart(x, now) + timeout, x.startedAt + clientTimeout)
    const left = x.deadline - now
    if (left <= 0) return Promise.resolve(problem('upstream-timeout'))
    if (grpc !== undefined) x.outgoing.headers['grpc-timeout'] = `${Math.ceil(Math.min(left, timeout))}m`
    return next(x)
  }
}

/** The epoch milliseconds from which the upstream's time counts; `Infinity` until a body that streams has ended. */
function timeoutStart(x: Exchange, now: number): number {
  if (x.outgoing.body === null) return x.startedAt
  if (hasUpload(x)) return Infinity
  // A policy has read the body, just now.
  if (x.outgoing.body instanceof Uint8Array) {
    markUploadEnd(x, now)
    return now
  }
  return x.startedAt
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
 * Refuses requests with 503 `overloaded` while `max` requests wait for the upstream's response headers in this isolate. This bounds
 * the memory that a slow upstream can occupy, and its callers get their response at once.
 */
export function shed(max: number, inFlight: InFlightRequests): Middleware {
  return (next) => (x) => {
    if (inFlight.count >= max) return Promise.resolve(problem('overloaded', { headers: { 'retry-after': '1' } }))
    // Counted after `next`, so that nothing is counted when it throws. Its promise also settles when the client disconnects.
    const response = next(x)
    inFlight.count++
    const leave = () => void inFlight.count--
    response.then(leave, leave)
    return response
  }
}
