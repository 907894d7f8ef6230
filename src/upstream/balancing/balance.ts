import type { Exchange } from '../../core/exchange.ts'
import type { Handler, Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import type { UpstreamConfig } from '../config.ts'
import { clientFailure } from '../outcome.ts'
import type { Target } from '../target.ts'
import { consistentHash } from './consistent-hash.ts'
import { ewma } from './ewma.ts'
import { eligible, outlierDetection } from './outlier.ts'
import { leastRequests, roundRobin, type BalancingStrategy } from './two-choices.ts'

/** Distributes an upstream's tries over its targets; shared by its routes. */
export interface Balancer {
  /** The targets with a weight above 0. */
  readonly targets: readonly Target[]
  /** The target of one try; undefined when none may be used. */
  readonly pick: (x: Exchange) => Target | undefined
  /** The middleware around each try to `target`, outermost first. */
  readonly middlewareFor: (target: Target) => readonly Middleware[]
}

type Settings = Pick<UpstreamConfig, 'loadBalancing' | 'hashOn' | 'outlierDetection'>

/** The panic threshold of health checks without outlier detection: the default of `outlierDetection`. */
const PANIC_PERCENT = 50

const NONE: readonly string[] = []

// Only a retry or a hedge writes here, so that a request which succeeds at once costs nothing.
const failedTargets = new WeakMap<Exchange, string[]>()

/** Makes later tries of this exchange pass over the target tried last, while there is another. */
export function avoidLastTarget(x: Exchange): void {
  if (x.target === undefined) return
  const failed = failedTargets.get(x)
  if (failed) failed.push(x.target)
  else failedTargets.set(x, [x.target])
}

/** Makes the balancer of an upstream; its state is in the targets. `onOutlierChange` is told of a target that was ejected, or is used again. */
export function makeBalancer(
  all: readonly Target[],
  config: Settings,
  platform: Pick<Platform, 'now' | 'random'>,
  onOutlierChange?: (target: Target) => void,
): Balancer {
  const targets = all.filter(({ weight }) => weight > 0)
  const { choose, middlewareFor: measure } = targets.length === 1 ? roundRobin : makeStrategy(targets, config, platform)
  const detect =
    config.outlierDetection && outlierDetection(targets, config.outlierDetection, platform, onOutlierChange)
  const panicThreshold = config.outlierDetection?.panicThreshold ?? PANIC_PERCENT
  const observers = [detect, measure].filter((observer) => observer !== undefined)
  return {
    targets,
    pick: (x) => {
      const now = platform.now()
      const avoided = x.attempts > 0 ? (failedTargets.get(x) ?? NONE) : NONE
      const candidates = eligible(targets, avoided, panicThreshold, now)
      return candidates.length === 0 ? undefined : choose(candidates, x, now)
    },
    middlewareFor: (target) => observers.map((observer) => observer(target)),
  }
}

function makeStrategy(
  targets: readonly Target[],
  { loadBalancing, hashOn }: Settings,
  platform: Pick<Platform, 'now' | 'random'>,
): BalancingStrategy {
  switch (loadBalancing) {
    case 'round-robin':
      return roundRobin
    case 'least-requests':
      return leastRequests(platform)
    case 'ewma':
      return ewma(targets, platform)
    case 'hash':
      return consistentHash(hashOn!, roundRobin)
  }
}

/** Sends each try by `sendTo` to the target that `balancer` picks; 503 `no-target` when it picks none. */
export function balance({ targets, pick }: Balancer, sendTo: (target: Target) => Handler): Handler {
  const handlers = new Map(targets.map((target) => [target, sendTo(target)]))
  const send: Handler = (x) => {
    const target = pick(x)
    // Classified as a client failure: it is not retried, and no breaker counts it.
    return target === undefined ? Promise.resolve(clientFailure(x, 'no-target')) : handlers.get(target)!(x)
  }
  const [only] = targets
  if (targets.length > 1 || only === undefined) return send
  const sendToOnly = handlers.get(only)!
  return (x) => (only.condition === 'ok' ? sendToOnly(x) : send(x))
}
