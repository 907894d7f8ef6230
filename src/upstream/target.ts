import { resolveUrl } from '../config/schema/scalars.ts'
import { hash32 } from '../lib/hash.ts'
import { remaining, type Interval } from '../lib/time.ts'
import type { InFlightCount } from './attempt.ts'
import type { UpstreamConfig } from './config.ts'

/** What the health checks and an operator say of a target: `unhealthy` is passed over while others do, `drained` gets nothing. */
export type TargetCondition = 'ok' | 'unhealthy' | 'drained'

/** One origin of an upstream, and what this isolate knows of it; its `inFlight` counts the tries that wait for its response headers. */
export interface Target extends InFlightCount {
  /** Scheme, host, port and prefix, without a final slash: what is forwarded is appended as it is. */
  readonly base: string
  /** `host:port` for the log, with the prefix where two targets share a host; unique within the upstream. */
  readonly label: string
  readonly address: string
  readonly port: number
  readonly weight: number
  /** As heard last from the upstream's objects; balancing only reads it. */
  condition: TargetCondition
  /** When a fetch to it was last rejected, in epoch milliseconds. */
  failedAt: number
  /** Whether outlier detection has it ejected. */
  outlierState: OutlierState
  /** What smooth weighted round-robin owes it. */
  credit: number
  /** How quickly it answers; only `ewma` keeps this up. */
  readonly latencyEwma: LatencyEwma
  /** What consistent hashing mixes its keys with: the same in every isolate. */
  readonly seed: number
}

/** How long a target rests after a fetch to it was rejected, in milliseconds. */
const REST_MS = 1_000

/** Whether it is passed over while there is another; the distance counts, because a clock may step back. */
export function isCoolingDown(target: Target, now: number): boolean {
  return Math.abs(now - target.failedAt) < REST_MS
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
      credit: 0,
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
  /** There while outlier detection has it ejected: for how much longer, in milliseconds, and how often by now. */
  readonly ejected?: { readonly forMs: number; readonly times: number }
  /** How quickly it answers on the average, in milliseconds, and how long ago that was last seen; there once `ewma` knows. */
  readonly pace?: { readonly ms: number; readonly agoMs: number }
}

/** How `target` stands at `now`, epoch milliseconds: a copy, without what is not known or over. */
export function describeTarget(target: Target, now: number): TargetView {
  const { label, weight, inFlight, condition, outlierState: standing, latencyEwma: pace } = target
  return {
    label,
    weight,
    inFlight,
    condition,
    resting: isCoolingDown(target, now),
    ...(standing.state === 'ejected' &&
      isEjected(standing, now) && { ejected: { forMs: remaining(standing, now), times: standing.ejections } }),
    ...(pace.updatedAt !== -Infinity && { pace: { ms: Math.round(pace.ms), agoMs: Math.abs(now - pace.updatedAt) } }),
  }
}

/** How a target stands with outlier detection. `ejections` lengthens the next one. */
export type OutlierState =
  | {
      readonly state: 'in'
      /** Failed tries in a row. */
      readonly failures: number
      readonly ejections: number
      /** When it came back, in epoch milliseconds. */
      readonly since: number
    }
  | ({ readonly state: 'ejected'; readonly ejections: number } & Interval)

/** How every target begins: never failed, never ejected. Told by its identity, so that a good answer costs no look at the clock. */
export const NEVER_EJECTED: OutlierState = { state: 'in', failures: 0, ejections: 0, since: -Infinity }

/** Whether an ejection lasts at `now`, epoch milliseconds; one that is over keeps its `state` until the next try is judged. */
export function isEjected(standing: OutlierState, now: number): boolean {
  return standing.state === 'ejected' && remaining(standing, now) > 0
}

/** What is known of how quickly a target answers; all milliseconds. */
export interface LatencyEwma {
  /** The moving average of its answers' times, as it was at `updatedAt`. */
  ms: number
  /** When a try last ended; `-Infinity` before the first. */
  updatedAt: number
  /** Failed tries in a row. */
  failures: number
  /** Tries that wait for an answer, but for those whose body is still on its way, and the sum of when they were sent. */
  waiting: number
  sentAt: number
}

/** For a target that has not answered yet, which gets one try at a time; each target needs its own, as tries change it. */
export const makeLatencyEwma = (): LatencyEwma => ({ ms: 0, updatedAt: -Infinity, failures: 0, waiting: 0, sentAt: 0 })
