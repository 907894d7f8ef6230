import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as passed } from 'node:timers/promises'

/** How a demo service misbehaves until told otherwise. `PUT /__faults` sets any of these, `DELETE /__faults` clears them. */
export interface Faults {
  /** Added to every answer. */
  latencyMs: number
  /** The share of requests, from 0 to 1, that get a 503. */
  failureRate: number
  /** Every connection is reset, as by a process that has died. */
  down: boolean
}

/** No misbehaviour at all. */
export const NO_FAULTS: Readonly<Faults> = { latencyMs: 0, failureRate: 0, down: false }

/** The faults that a `PUT /__faults` body asks for, on top of `current`; a text says what is wrong with the body. */
export function parseFaults(body: unknown, current: Faults): Faults | string {
  if (typeof body !== 'object' || body === null) return 'expected an object with latencyMs, failureRate or down'
  const next = { ...current, ...body }
  const unknown = Object.keys(next).find((key) => !(key in NO_FAULTS))
  if (unknown !== undefined) return `unknown fault "${unknown}": expected latencyMs, failureRate or down`
  if (!(typeof next.latencyMs === 'number' && next.latencyMs >= 0 && next.latencyMs <= 600_000))
    return 'expected latencyMs from 0 to 600000'
  if (!(typeof next.failureRate === 'number' && next.failureRate >= 0 && next.failureRate <= 1))
    return 'expected failureRate from 0 to 1'
  return typeof next.down === 'boolean' ? next : 'expected down to be true or false'
}

/**
 * Misbehaves as `faults` and the request's own `?delay=ms` and `?status=code` say.
 * True when the request has been dealt with and must not be answered any more.
 */
export async function misbehave(
  faults: Faults,
  query: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  if (faults.down) {
    request.socket.resetAndDestroy()
    return true
  }
  const delayMs = faults.latencyMs + Math.min(Number(query.get('delay')) || 0, 60_000)
  if (delayMs > 0) await passed(delayMs)
  const asked = Number(query.get('status'))
  const status = asked >= 400 && asked <= 599 ? asked : Math.random() < faults.failureRate ? 503 : undefined
  if (status === undefined) return false
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ error: 'injected', message: 'This failure was asked for.' }))
  return true
}
