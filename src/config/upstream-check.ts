import type * as z from 'zod/mini'
import { durationText } from './scalars.ts'
import type { upstream, UpstreamConfig } from './upstream.ts'

/** [path below the upstream, message]. */
type Found = [path: string[], message: string]

/** Contradictions inside one upstream, or in what a route makes of it. */
export function checkUpstream(config: Pick<UpstreamConfig, 'timeout' | 'retry'> & Partial<UpstreamConfig>): Found[] {
  const found: Found[] = []
  if (config.targets?.every((target) => target.weight === 0))
    found.push([['targets'], 'expected at least one target with a weight above 0'])
  if (config.circuitBreaker && config.circuitBreaker.maxOpenDuration < config.circuitBreaker.openDuration)
    found.push([
      ['circuitBreaker', 'maxOpenDuration'],
      `expected at least openDuration (${durationText(config.circuitBreaker.openDuration)}), found ${durationText(config.circuitBreaker.maxOpenDuration)}`,
    ])
  return [...found, ...checkRetry(config)]
}

function checkRetry({ retry, timeout }: Pick<UpstreamConfig, 'timeout' | 'retry'>): Found[] {
  if (!retry) return []
  const { perTryTimeout, methods, retryOn, retriableStatusCodes } = retry
  const found: Found[] = []
  if (perTryTimeout !== undefined && perTryTimeout >= timeout) {
    found.push([
      ['retry', 'perTryTimeout'],
      `expected less than the timeout (${durationText(timeout)}), found ${durationText(perTryTimeout)}`,
    ])
  }
  for (const unsafe of methods.filter((name) => name === 'POST' || name === 'PATCH')) {
    found.push([
      ['retry', 'methods'],
      `${unsafe} is not idempotent: it needs the policy "idempotency", which is not supported yet`,
    ])
  }
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

/** Slow-call settings that somebody wrote although the longest timeout of any route ends every call before it is slow. */
export function checkSlowCalls(
  { circuitBreaker }: UpstreamConfig,
  written: z.input<typeof upstream>,
  longestTimeout: number,
): Found[] {
  if (!circuitBreaker || circuitBreaker.slowCallDuration < longestTimeout) return []
  const { slowCallRate, slowCallDuration } = written.circuitBreaker!
  if (slowCallRate === undefined && slowCallDuration === undefined) return []
  const message = `expected less than the timeout (${durationText(longestTimeout)}), which no call outlasts; found ${durationText(circuitBreaker.slowCallDuration)}`
  return [[['circuitBreaker', 'slowCallDuration'], message]]
}
