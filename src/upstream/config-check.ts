import type * as z from 'zod/mini'
import { durationText } from '../config/schema/scalars.ts'
import { isIdempotent } from '../lib/http-method.ts'
import type { upstream, UpstreamConfig } from './config.ts'

/** [path below the upstream, message]. */
type Finding = [path: (string | number)[], message: string]

/** What a route may override. */
type Overridable = Pick<UpstreamConfig, 'timeout' | 'retry' | 'hedge'>

/** Returns the contradictions within one upstream, or within an upstream as a route overrides it. */
export function checkUpstream(config: Overridable & Partial<UpstreamConfig>): Finding[] {
  const found: Finding[] = []
  if (config.targets?.every((target) => target.weight === 0))
    found.push([['targets'], 'expected at least one target with a weight above 0'])
  found.push(...checkDuplicates(config.targets ?? []))
  if (config.circuitBreaker && config.circuitBreaker.maxOpenDuration < config.circuitBreaker.openDuration)
    found.push([
      ['circuitBreaker', 'maxOpenDuration'],
      `expected at least openDuration (${durationText(config.circuitBreaker.openDuration)}), found ${durationText(config.circuitBreaker.maxOpenDuration)}`,
    ])
  return [
    ...found,
    ...checkBalancing(config),
    ...checkTargetHealth(config),
    ...checkRetry(config),
    ...checkHedge(config),
  ]
}

/** Duplicate targets: draining one would drain both, and consistent hashing would send nothing to one of them. */
function checkDuplicates(targets: UpstreamConfig['targets']): Finding[] {
  const identities = targets.map(({ url }) => (typeof url === 'string' ? identityOf(new URL(url)) : undefined))
  return identities.flatMap((identity, i): Finding[] => {
    const first = identities.indexOf(identity)
    if (identity === undefined || first === i) return []
    return [[['targets', i, 'url'], `is the place of targets[${first}] as well; give one of them more weight`]]
  })
}

/** A target's identity: its host, port and path. */
function identityOf({ protocol, hostname, port, pathname }: URL): string {
  return `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}${pathname.replace(/\/+$/, '')}`
}

function checkBalancing({ loadBalancing, hashOn }: Partial<UpstreamConfig>): Finding[] {
  if (loadBalancing === 'hash' && hashOn === undefined)
    return [[['hashOn'], 'expected what to hash: "client.ip", "jwt.<claim>" or "header:<name>"']]
  if (loadBalancing !== 'hash' && hashOn !== undefined)
    return [[['hashOn'], `has no use with loadBalancing "${loadBalancing}"; expected "hash"`]]
  return []
}

function checkTargetHealth({ healthCheck, outlierDetection }: Partial<UpstreamConfig>): Finding[] {
  const found: Finding[] = []
  const report = (part: string, key: string, bound: string, limit: number, value: number) =>
    found.push([[part, key], `expected ${bound} (${durationText(limit)}), found ${durationText(value)}`])
  if (healthCheck && healthCheck.timeout > healthCheck.interval)
    report('healthCheck', 'timeout', 'at most the interval', healthCheck.interval, healthCheck.timeout)
  if (outlierDetection && outlierDetection.maxEjection < outlierDetection.baseEjection)
    report(
      'outlierDetection',
      'maxEjection',
      'at least baseEjection',
      outlierDetection.baseEjection,
      outlierDetection.maxEjection,
    )
  return found
}

function checkRetry({ retry, timeout }: Overridable): Finding[] {
  if (!retry) return []
  const { perTryTimeout, methods, retryOn, retriableStatusCodes, respectRetryAfter, backoff, budget } = retry
  const found: Finding[] = []
  if (perTryTimeout !== undefined && perTryTimeout >= timeout) {
    found.push([
      ['retry', 'perTryTimeout'],
      `expected less than the timeout (${durationText(timeout)}), found ${durationText(perTryTimeout)}`,
    ])
  }
  for (const unsafe of methods.filter((name) => !isIdempotent(name))) {
    found.push([
      ['retry', 'methods'],
      `${unsafe} is not idempotent: it needs the policy "idempotency", which is not supported yet`,
    ])
  }
  if (budget.percent === 0 && budget.minPerSecond === 0)
    found.push([['retry', 'budget'], 'allows no retry at all; expected a percent or a minPerSecond above 0'])
  if (backoff.base > backoff.max)
    found.push([
      ['retry', 'backoff', 'max'],
      `expected at least base (${durationText(backoff.base)}), found ${durationText(backoff.max)}`,
    ])
  if (!respectRetryAfter && retriableStatusCodes.includes(429))
    found.push([['retry', 'retriableStatusCodes'], 'a 429 is repeated only with respectRetryAfter'])
  const byStatus = retryOn.includes('retriable-status')
  if (byStatus && retriableStatusCodes.length === 0)
    found.push([['retry', 'retriableStatusCodes'], 'expected the statuses that "retriable-status" stands for'])
  if (!byStatus && retriableStatusCodes.length > 0)
    found.push([
      ['retry', 'retryOn'],
      'expected "retriable-status" among these: retriableStatusCodes has no use without it',
    ])
  return found
}

function checkHedge({ hedge, timeout }: Overridable): Finding[] {
  if (typeof hedge?.after !== 'number' || hedge.after < timeout) return []
  const message = `expected less than the timeout (${durationText(timeout)}), found ${durationText(hedge.after)}`
  return [[['hedge', 'after'], message]]
}

/** Reports written slow-call settings that never take effect, because the longest timeout of any route ends every call first. */
export function checkSlowCalls(
  { circuitBreaker }: UpstreamConfig,
  written: z.input<typeof upstream>,
  longestTimeout: number,
): Finding[] {
  if (!circuitBreaker || circuitBreaker.slowCallDuration < longestTimeout) return []
  const { slowCallRate, slowCallDuration } = written.circuitBreaker!
  if (slowCallRate === undefined && slowCallDuration === undefined) return []
  const message = `expected less than the timeout (${durationText(longestTimeout)}), which no call outlasts; found ${durationText(circuitBreaker.slowCallDuration)}`
  return [[['circuitBreaker', 'slowCallDuration'], message]]
}
