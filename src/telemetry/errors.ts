import type { Exchange } from '../core/exchange.ts'
import type { Platform } from '../core/platform.ts'
import { isLogged } from './access-log.ts'
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
    if (Math.abs(platform.now() - windowStart) >= WINDOW_MS) [windowStart, reports] = [platform.now(), 0]
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

/** The classes of Durable Objects. */
type ObjectClass =
  | 'CacheCoordinator'
  | 'CircuitBreaker'
  | 'GlobalUpstreamState'
  | 'IdentityStore'
  | 'LimitShard'
  | 'LoginGuard'
  | 'NonceStore'

/** The errors of one method of one class in this isolate: since its start, and the lines in the window that began at `windowStart`. */
interface ObjectErrors {
  count: number
  windowStart: number
  lines: number
}

const objectErrors = new Map<string, ObjectErrors>()

/**
 * Counts an error inside a Durable Object, and writes one JSON line with its stack and `count`: the errors of this method in this isolate since its
 * start. At most ten lines a minute for each method, because a failed storage fails every call. `env` is that of the object. Never throws.
 */
export function logObjectError(object: ObjectClass, method: string, error: unknown, env: object): void {
  try {
    const key = `${object}.${method}`
    const errors = objectErrors.get(key) ?? { count: 0, windowStart: -Infinity, lines: 0 }
    objectErrors.set(key, errors)
    errors.count++
    const now = Date.now()
    if (Math.abs(now - errors.windowStart) >= WINDOW_MS) [errors.windowStart, errors.lines] = [now, 0]
    const { LOG_LEVEL: setting } = env as { readonly LOG_LEVEL?: unknown }
    if (!isLogged('error', typeof setting === 'string' ? setting : undefined) || ++errors.lines > MAX_REPORTS) return
    const place = { time: new Date(now).toISOString(), level: 'error', event: 'object-error', object, method }
    console.error(JSON.stringify({ ...place, count: errors.count, ...cleanError(error, []) }))
  } catch {
    // The call still needs its response; there is no other place to write to.
  }
}

const MAX_MESSAGE = 1_000
const MAX_STACK = 4_000

function describeError(error: unknown, { id, route, request }: FailedRequest): ErrorReport {
  const secrets = secretsOf(request)
  const rawPath = /^[a-z]+:\/\/[^/?#]*([^?#]*)/i.exec(request.url)?.[1] ?? ''
  const path = scrub(rawPath, secrets).slice(0, MAX_MESSAGE)
  return { id, route, method: request.method, path, ...cleanError(error, secrets) }
}

/** The error without what has the form of a secret, and without `secrets`. */
function cleanError(error: unknown, secrets: readonly string[]): Pick<ErrorReport, 'name' | 'message' | 'stack'> {
  const clean = (text: string, max: number) => scrub(text, secrets).slice(0, max)
  const { name, message, stack } = readError(error)
  return {
    name: clean(name, MAX_MESSAGE),
    message: clean(message, MAX_MESSAGE),
    stack: stack && clean(stack, MAX_STACK),
  }
}

/** Any value can be thrown, even an object whose properties throw when they are read. */
function readError(error: unknown): { name: string; message: string; stack: string | undefined } {
  try {
    if (!(error instanceof Error)) return { name: typeof error, message: String(error), stack: undefined }
    const cause = error.cause instanceof Error ? ` (caused by ${error.cause.name}: ${error.cause.message})` : ''
    const { name, message, stack } = error
    return { name: String(name), message: `${String(message)}${cause}`, stack: stack && String(stack) }
  } catch {
    return { name: 'unknown', message: 'an error that cannot be read', stack: undefined }
  }
}
