import type { Exchange } from '../core/exchange.ts'
import type { Platform } from '../core/platform.ts'
import { distance } from '../lib/time.ts'
import { isLogged } from './access-log.ts'
import { cleanError, MAX_MESSAGE } from './object-errors.ts'
import { scrub, secretsOf } from './scrub.ts'
import type { ErrorReport } from './sentry.ts'

/** The request in which an error occurred. */
export interface FailedRequest {
  /** The trace id. */
  readonly id: string
  readonly route: string | undefined
  readonly request: Request
}

/** Reports an unexpected error, whatever was thrown; reports are sent in `waitUntil`. Never throws. */
export type ErrorReporter = (error: unknown, x: FailedRequest, waitUntil: Exchange['waitUntil']) => void

/** Reports to Sentry for each isolate and minute, at most: an outage fails every request in the same way. */
const MAX_REPORTS = 10
const WINDOW_MS = 60_000

/** Writes one JSON line per unexpected error and, with `SENTRY_DSN`, reports up to ten a minute to Sentry. */
export function makeErrorReporter(platform: Pick<Platform, 'variable' | 'now' | 'fetch'>): ErrorReporter {
  const dsn = platform.variable('SENTRY_DSN')
  const logged = isLogged('error', platform.variable('LOG_LEVEL'))
  let windowStart = -Infinity
  let reports = 0

  function mayReport(): boolean {
    if (distance(platform.now(), windowStart) >= WINDOW_MS) [windowStart, reports] = [platform.now(), 0]
    return ++reports <= MAX_REPORTS
  }

  return (error, x, waitUntil) => {
    try {
      const errorReport = describeError(error, x)
      const time = new Date(platform.now()).toISOString()
      if (logged) console.error(JSON.stringify({ time, level: 'error', event: 'error', ...errorReport }))
      if (dsn !== undefined && mayReport()) waitUntil(sendReport(dsn, errorReport, platform.fetch))
    } catch {
      // The request still needs its response.
    }
  }
}

/** Sentry's code is evaluated at the first error and not at start-up. */
async function sendReport(dsn: string, errorReport: ErrorReport, fetch: Platform['fetch']): Promise<void> {
  try {
    const { sendToSentry } = await import('./sentry.ts')
    await sendToSentry(dsn, errorReport, fetch)
  } catch {
    // A failure to reach Sentry cannot be reported to Sentry; the error itself is logged already.
  }
}

function describeError(error: unknown, { id, route, request }: FailedRequest): ErrorReport {
  const secrets = secretsOf(request)
  const rawPath = /^[a-z]+:\/\/[^/?#]*([^?#]*)/i.exec(request.url)?.[1] ?? ''
  const path = scrub(rawPath, secrets).slice(0, MAX_MESSAGE)
  return { id, route, method: request.method, path, ...cleanError(error, secrets) }
}
