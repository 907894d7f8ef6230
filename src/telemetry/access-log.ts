import type { ProblemCode } from '../core/problem.ts'

/** Characters of a logged path. The URL of a refused request may be longer. */
const MAX_PATH = 1_024

/** The fields of one request's log line, none of them secret. */
export interface AccessEntry {
  /** Arrival, epoch milliseconds. */
  readonly time: number
  /** The route's id; undefined when none matched. */
  readonly route: string | undefined
  readonly method: string
  /** Without its query, which may hold secrets. */
  readonly path: string
  readonly status: number
  /** From arrival to response headers. */
  readonly ms: number
  readonly code?: ProblemCode | undefined
  /** The trace id. */
  readonly id: string
  readonly client: string
  /** Host and port of the target tried last. */
  readonly target?: string | undefined
  readonly attempts?: number | undefined
  /** Requests in flight in this isolate, this one included. */
  readonly inFlight: number
}

/**
 * Writes one JSON line per request: level `warn` for a 5xx, `info` for every other response. Undefined when `LOG_LEVEL`
 * drops both, so that the caller builds no entry.
 */
export function makeAccessLog(
  variable: (name: string) => string | undefined,
): ((entry: AccessEntry) => void) | undefined {
  const setting = variable('LOG_LEVEL')
  if (!isLogged('warn', setting)) return undefined
  const all = isLogged('info', setting)
  return (entry) => {
    const level = entry.status >= 500 ? 'warn' : 'info'
    if (!all && level === 'info') return
    const { time, route, method, path, status, ms, code, id, client, target, attempts, inFlight } = entry
    console.log(
      JSON.stringify({
        time: isoTime(time),
        level,
        event: 'request',
        route,
        method,
        path: path.slice(0, MAX_PATH),
        status,
        ms,
        code,
        id,
        client,
        target,
        attempts,
        inFlight,
      }),
    )
  }
}

let second = NaN
let prefix = ''

/** Epoch milliseconds as ISO 8601, in UTC. The date is formatted once a second, because lines of a busy log share it. */
export function isoTime(ms: number): string {
  const current = Math.floor(ms / 1_000)
  if (current !== second) {
    prefix = new Date(current * 1_000).toISOString().slice(0, 20)
    second = current
  }
  return `${prefix}${String(ms - current * 1_000).padStart(3, '0')}Z`
}

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
/** The level of a line. `silent` is a value of `LOG_LEVEL` alone, under which nothing is written. */
export type LogLevel = Exclude<(typeof LEVELS)[number], 'silent'>

const DEFAULT_LEVEL = 'info'

/** Whether lines of `level` are written under this `LOG_LEVEL`; an unset or unknown one means `info`. */
export function isLogged(level: LogLevel, setting: string | undefined): boolean {
  const lowest = LEVELS.indexOf((setting ?? DEFAULT_LEVEL).toLowerCase() as LogLevel)
  return LEVELS.indexOf(level) >= (lowest < 0 ? LEVELS.indexOf(DEFAULT_LEVEL) : lowest)
}
