import { resolveUrl } from '../config/schema/scalars.ts'
import { hash32 } from '../lib/hash.ts'
import { distance, remaining, type Interval } from '../lib/time.ts'
import type { InFlightCount } from './attempt.ts'
import type { UpstreamConfig } from './config.ts'

/** A target's condition by health checks and operators. `unhealthy` is passed over outside panic mode; `drained` gets no requests. */
export type TargetCondition = 'ok' | 'unhealthy' | 'drained'

/** One origin of an upstream with its state in this isolate; its `inFlight` counts the tries that wait for its response headers. */
export interface Target extends InFlightCount {
  /** Scheme, host, port and prefix, without a final slash: the forwarded path is appended unchanged. */
  readonly base: string
  /** `host:port` for the log, with the prefix where two targets share a host; unique within the upstream. */
  readonly label: string
  readonly address: string
  readonly port: number
  readonly weight: number
  /** By the last update from the upstream's Durable Objects; balancing only reads it. */
  condition: TargetCondition
  /** When a fetch to it was last rejected, in epoch milliseconds. */
  failedAt: number
  /** Whether outlier detection has it ejected. */
  outlierState: OutlierState
  /** Its index among the upstream's targets, and the turns that they share. */
  readonly index: number
  readonly turns: Turns
  /** Its response times; updated only by the strategy `ewma`. */
  readonly latencyEwma: LatencyEwma
  /** The hash of its label, which consistent hashing combines with each key: the same in every isolate. */
  readonly seed: number
}

/** The current weights of an upstream's targets in smooth weighted round-robin, by their index. */
export interface Turns {
  /** The turns in which routes begin. */
  readonly first: number[]
  /** Those of each route, by its id. */
  readonly byRoute: Map<string, number[]>
}

/** How long a target is passed over after a fetch to it was rejected, in milliseconds. */
const COOL_DOWN_MS = 1_000

/** Whether it is passed over while there is another. Uses the distance in time, because a clock may step back. */
export function isCoolingDown(target: Target, now: number): boolean {
  return distance(target.failedAt, now) < COOL_DOWN_MS
}

/** Resolves an upstream's targets; throws an Error that names the JSON path when a `$env` URL cannot be resolved. */
export function makeTargets(
  upstream: string,
  targets: UpstreamConfig['targets'],
  variable: (name: string) => string | undefined,
): Target[] {
  const urls = targets.map(({ url }, i) => {
    const resolved = resolveUrl(url, variable)
    if (resolved !== undefined) return new URL(resolved)
    const source = typeof url === 'string' ? JSON.stringify(url) : `the variable ${url.$env}`
    throw new Error(
      `upstreams.${upstream}.targets[${i}].url: ${source} is not set, or not an absolute http(s) URL without credentials, query or fragment`,
    )
  })
  const hosts = urls.map(hostAndPort)
  const turns: Turns = { first: urls.map(() => 0), byRoute: new Map() }
  return urls.map((url, i) => {
    const prefix = url.pathname.replace(/\/+$/, '')
    const shared = hosts.filter((host) => host === hosts[i]).length > 1
    const label = shared ? hosts[i]! + prefix : hosts[i]!
    return {
      base: url.origin + prefix,
      label,
      address: url.hostname,
      port: portOf(url),
      weight: targets[i]!.weight,
      condition: 'ok',
      failedAt: -Infinity,
      inFlight: 0,
      outlierState: NEVER_EJECTED,
      index: i,
      turns,
      latencyEwma: makeLatencyEwma(),
      seed: hash32(label),
    }
  })
}

function portOf(url: URL): number {
  return url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
}

function hostAndPort(url: URL): string {
  return `${url.hostname}:${portOf(url)}`
}

/** A target as one isolate sees it, as JSON for an operator. */
export interface TargetView {
  readonly label: string
  readonly weight: number
  /** Tries that wait for its response headers. */
  readonly inFlight: number
  readonly condition: TargetCondition
  /** Whether it is passed over for a second, because a connection to it has just failed. */
  readonly resting: boolean
  /** Present while outlier detection has it ejected: the milliseconds that are left, and how often it was ejected. */
  readonly ejected?: { readonly forMs: number; readonly times: number }
  /** Its EWMA of response times and the age of the last sample, both in milliseconds; present once `ewma` has a sample. */
  readonly pace?: { readonly ms: number; readonly agoMs: number }
}

/** A copy of the state of `target` at `now`, epoch milliseconds, without what is unknown or has ended. */
export function describeTarget(target: Target, now: number): TargetView {
  const { label, weight, inFlight, condition, outlierState, latencyEwma } = target
  return {
    label,
    weight,
    inFlight,
    condition,
    resting: isCoolingDown(target, now),
    ...(outlierState.state === 'ejected' &&
      isEjected(outlierState, now) && {
        ejected: { forMs: remaining(outlierState, now), times: outlierState.ejections },
      }),
    ...(latencyEwma.updatedAt !== -Infinity && {
      pace: { ms: Math.round(latencyEwma.ms), agoMs: distance(latencyEwma.updatedAt, now) },
    }),
  }
}

/** A target's state in outlier detection. The next ejection lasts longer with each of `ejections`. */
export type OutlierState =
  | {
      readonly state: 'in'
      /** Failed tries in a row. */
      readonly failures: number
      readonly ejections: number
      /** When its last ejection ended, in epoch milliseconds. */
      readonly since: number
    }
  | ({ readonly state: 'ejected'; readonly ejections: number } & Interval)

/** The initial state. Compared by identity, so that a good response needs no read of the clock. */
export const NEVER_EJECTED: OutlierState = { state: 'in', failures: 0, ejections: 0, since: -Infinity }

/** Whether the target is ejected at `now`, epoch milliseconds. A finished ejection keeps its `state` until the next try ends. */
export function isEjected(outlierState: OutlierState, now: number): boolean {
  return outlierState.state === 'ejected' && remaining(outlierState, now) > 0
}

/** The peak EWMA of a target's response times; all in milliseconds. */
export interface LatencyEwma {
  /** The moving average as of `updatedAt`. */
  ms: number
  /** When a try last ended; `-Infinity` before the first. */
  updatedAt: number
  /** Failed tries in a row. */
  failures: number
  /** Tries that wait for a response, except those with a streamed body, and the sum of the times when they were sent. */
  waiting: number
  sentAt: number
}

/** The initial state of a target without a response so far; mutable, so each target needs its own. */
export const makeLatencyEwma = (): LatencyEwma => ({ ms: 0, updatedAt: -Infinity, failures: 0, waiting: 0, sentAt: 0 })
