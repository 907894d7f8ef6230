import type * as z from 'zod/mini'
import type { RetryConfig, UpstreamConfig, upstreamOverride } from '../config/upstream.ts'
import { compose, type Handler, type Middleware } from '../pipeline.ts'
import type { Site } from '../policy.ts'
import type { Load } from './attempt.ts'
import { balance } from './balance.ts'
import { breaker } from './breaker.ts'
import { makeCircuitView, type CircuitView } from './circuit-view.ts'
import { deadline } from './deadline.ts'
import { makeRetryBudget, type RetryBudget } from './retry-budget.ts'
import { retry } from './retry.ts'
import { send, type SendOptions } from './send.ts'
import { makeTargets, type Target } from './target.ts'

/** A named upstream and what this isolate knows of it; every route that names it shares this. */
export interface Upstream {
  readonly name: string
  readonly config: UpstreamConfig
  readonly targets: readonly Target[]
  readonly budget: RetryBudget | undefined
  readonly circuit: CircuitView | undefined
  readonly load: Load
  /** `open` while the breaker refuses, as far as this isolate has heard. */
  readonly condition: () => 'ok' | 'open'
  /** `unreachable` while the breaker's object does not answer, so that this isolate decides alone. */
  readonly breakerStore: () => 'ok' | 'unreachable'
}

/** What a route says differently; milliseconds. `retry: null` switches it off. */
export type UpstreamOverride = Omit<z.output<typeof upstreamOverride>, 'name'>

/** Makes an upstream's shared state; throws an Error that names the JSON path when a `$env` URL cannot be resolved. */
export function makeUpstream(name: string, config: UpstreamConfig, site: Site): Upstream {
  const circuit = config.circuitBreaker && makeCircuitView(name, config.circuitBreaker, site)
  return {
    name,
    config,
    targets: makeTargets(name, config.targets, site.variable),
    budget: config.retry && makeRetryBudget(config.retry.budget),
    circuit,
    load: { inFlight: 0 },
    condition: () => (circuit?.isOpen() ? 'open' : 'ok'),
    breakerStore: () => (circuit?.isAlone() ? 'unreachable' : 'ok'),
  }
}

/** A route's way to its upstream: only the stages that are configured, outside in deadline, breaker, retry, balance, send. */
export function compileUpstream(upstream: Upstream, override: UpstreamOverride = {}, site: Site): Handler {
  const { config, circuit, targets, load } = upstream
  const timeout = override.timeout ?? config.timeout
  const again = override.retry === undefined ? config.retry : override.retry
  const options: SendOptions = {
    timeout,
    perTryTimeout: again?.perTryTimeout ?? timeout,
    idleTimeout: override.idleTimeout ?? config.idleTimeout,
    numbered: again != null,
  }
  const stages: Middleware[] = [deadline(timeout, site)]
  if (circuit) stages.push(breaker(config.circuitBreaker!, circuit, site))
  if (again) stages.push(retry(again, budgetFor(upstream, again), site))
  const sendTo = (target: Target) => send(target, options, load, site)
  return compose(stages, targets.length === 1 ? sendTo(targets[0]!) : balance(targets, sendTo, site))
}

/** Routes share their upstream's budget; one with a retry of its own brings its own. */
function budgetFor(upstream: Upstream, again: RetryConfig): RetryBudget {
  return again === upstream.config.retry && upstream.budget ? upstream.budget : makeRetryBudget(again.budget)
}
