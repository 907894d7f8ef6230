import type { Exchange, Outgoing } from './exchange.ts'

/** The deadline, in milliseconds: the platform ends work that outlives its request after 30 s. */
const LONGEST_MS = 20_000

/**
 * An exchange beside `x` that sends `outgoing` and whose response no client receives. A disconnect of the client of `x` does not end it, and
 * `x` does not change. `now` in epoch milliseconds.
 */
export function makeBackgroundExchange(x: Exchange, outgoing: Outgoing, now: number): Exchange {
  const { id, request, headers, route, path, params, client, identity, waitUntil } = x
  return {
    id,
    request,
    headers,
    route,
    path,
    params,
    client,
    outgoing,
    signal: new AbortController().signal,
    startedAt: now,
    deadline: now + LONGEST_MS,
    waitUntil,
    identity,
    edits: [],
    attempts: 0,
    target: undefined,
    uploadProblem: undefined,
    trace: undefined,
  }
}
