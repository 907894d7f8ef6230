import type { ObjectNamespace } from '../core/durable-object.ts'
import { isLogged } from './access-log.ts'
import { cleanError, logObjectError, type ObjectClass } from './object-errors.ts'

/** The changes of state that are logged, once each. The table in docs/telemetry.md is generated from here. */
export const EVENTS = {
  'breaker-open': 'A circuit breaker opened: in a region, or in all regions (`region`: `all`).',
  'breaker-half-open': 'Its open time is over, and a probe may be sent.',
  'breaker-closed': 'It closed: the probes passed, or an operator closed it.',
  'breaker-forced': 'An operator forced a breaker `open` or `closed`, or let it decide again (`state`: `released`).',
  'target-ejected': 'Outlier detection ejected a target in this isolate.',
  'target-returned': 'An ejected target got its first request again.',
  'target-unhealthy': 'A target failed its health checks in a region.',
  'target-healthy': 'It passes them again.',
  'target-drained': 'An operator drained a target.',
  'target-restored': 'An operator restored it.',
  'jwks-stale': 'The keys of an issuer could not be fetched; the old ones are used on.',
  'jwks-unavailable':
    'The keys of an issuer could not be fetched, and there are none, or the old ones are too old: its tokens are refused.',
  'jwks-fresh': 'The keys of that issuer were fetched again.',
  'store-down': 'A store failed three times in a row in this isolate; what then happens is the choice of each route.',
  'store-back': 'That store responds again.',
} as const

/** The name of a change of state. */
export type EventName = keyof typeof EVENTS

/** Writes one JSON line at the level `warn` for a change of state. `logLevel` is the value of LOG_LEVEL. */
export function logEvent(
  event: EventName,
  fields: Readonly<Record<string, unknown>>,
  logLevel: string | undefined,
  now = Date.now(),
): void {
  if (!isLogged('warn', logLevel)) return
  console.warn(JSON.stringify({ time: new Date(now).toISOString(), level: 'warn', event, ...fields }))
}

/** What is written of the reason for which a call failed: the error without secrets, or that no result came in time. */
export function reasonOf(failure: unknown): string {
  return failure === undefined ? 'no result in time' : cleanError(failure, []).message
}

/** The failures in a row after which a store is down. */
const MAX_FAILURES = 3

/**
 * The same objects of one class, of which every error of a call by `callObject` is logged, as `logObjectError` does; with `logsState` also when they
 * stop to respond to this isolate, and when they respond again.
 */
export function observeObjects<Api>(
  object: ObjectClass,
  namespace: ObjectNamespace<Api>,
  logLevel: string | undefined,
  logsState: boolean,
): ObjectNamespace<Api> {
  let failures = 0
  const observe = (failed: boolean, error?: unknown) => {
    if (failed) {
      failures++
      if (error !== undefined) logObjectError(object, 'call', error, { LOG_LEVEL: logLevel })
      if (logsState && failures === MAX_FAILURES)
        logEvent('store-down', { store: object, reason: reasonOf(error) }, logLevel)
      return
    }
    if (logsState && failures >= MAX_FAILURES) logEvent('store-back', { store: object }, logLevel)
    failures = 0
  }
  return { getByName: (name, options) => namespace.getByName(name, options), observe }
}
