import { distance } from '../lib/time.ts'
import { isLogged } from './access-log.ts'
import { scrub } from './scrub.ts'

/** Lines for each method and minute, at most. */
const MAX_LINES = 10
const WINDOW_MS = 60_000

/** The classes of Durable Objects. */
export type ObjectClass =
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
    if (distance(now, errors.windowStart) >= WINDOW_MS) [errors.windowStart, errors.lines] = [now, 0]
    if (!isLogged('error', logLevelOf(env)) || ++errors.lines > MAX_LINES) return
    const place = { time: new Date(now).toISOString(), level: 'error', event: 'object-error', object, method }
    console.error(JSON.stringify({ ...place, count: errors.count, ...cleanError(error, []) }))
  } catch {
    // The call still needs its response; there is no other place to write to.
  }
}

/** The value of LOG_LEVEL in the bindings of a Durable Object. */
export function logLevelOf(env: object): string | undefined {
  const { LOG_LEVEL: setting } = env as { readonly LOG_LEVEL?: unknown }
  return typeof setting === 'string' ? setting : undefined
}

/** The longest message and stack that are written, in characters. */
export const MAX_MESSAGE = 1_000
const MAX_STACK = 4_000

/** What is reported of an error. */
export interface CleanError {
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
}

/** The error without what has the form of a secret, and without `secrets`. */
export function cleanError(error: unknown, secrets: readonly string[]): CleanError {
  const clean = (text: string, max: number) => scrub(text, secrets).slice(0, max)
  const { name, message, stack } = readError(error)
  return {
    name: clean(name, MAX_MESSAGE),
    message: clean(message, MAX_MESSAGE),
    stack: stack && clean(stack, MAX_STACK),
  }
}

/** Any value can be thrown, even an object whose properties throw when they are read. */
function readError(error: unknown): CleanError {
  try {
    if (!(error instanceof Error)) return { name: typeof error, message: String(error), stack: undefined }
    const cause = error.cause instanceof Error ? ` (caused by ${error.cause.name}: ${error.cause.message})` : ''
    const { name, message, stack } = error
    return { name: String(name), message: `${String(message)}${cause}`, stack: stack && String(stack) }
  } catch {
    return { name: 'unknown', message: 'an error that cannot be read', stack: undefined }
  }
}
