import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** The injected faults of a demo service. `PUT /__faults` sets any of these, `DELETE /__faults` clears them. */
export interface Faults {
  /** Added to the time of every response. */
  latencyMs: number
  /** The share of requests, from 0 to 1, that get a 503. */
  failureRate: number
  /** Whether every connection is reset, as when the process has crashed. */
  down: boolean
}

/** No injected faults. */
export const NO_FAULTS: Readonly<Faults> = { latencyMs: 0, failureRate: 0, down: false }

/** `current` with the changes of a `PUT /__faults` body; a string is the message of an invalid body. */
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
 * Injects `faults`, and those of the request's own `?delay=ms` and `?status=code`.
 * True when the request is complete and must not get a response any more.
 */
export async function injectFaults(
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
  if (delayMs > 0) await sleep(delayMs)
  const requested = Number(query.get('status'))
  const status = requested >= 400 && requested <= 599 ? requested : Math.random() < faults.failureRate ? 503 : undefined
  if (status === undefined) return false
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ error: 'injected', message: 'This failure was requested.' }))
  return true
}
