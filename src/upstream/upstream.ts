import * as z from 'zod/mini'
import { compose, type Handler, type Middleware } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import type { LocationMode } from '../core/policy.ts'
import type { InFlightCount } from './attempt.ts'
import { balance, makeBalancer, type Balancer } from './balancing/balance.ts'
import { makeBreakerClient, type BreakerClient } from './circuit-breaker/breaker-client.ts'
import { breaker, makeBreakerSnapshot, pollConditions, type BreakerSnapshot } from './circuit-breaker/breaker.ts'
import { logEvent } from '../telemetry/events.ts'
import type { UpstreamConfig, upstreamOverride } from './config.ts'
import { deadline, shed, type InFlightRequests } from './deadline.ts'
import type { RetryConfig } from './retry/config.ts'
import { hedge } from './retry/hedge.ts'
import { reconnect } from './retry/reconnect.ts'
import { countRequests, makeRetryBudget, retryBudget, type RetryBudget } from './retry/retry-budget.ts'
import { retry } from './retry/retry.ts'
import { send, type SendOptions } from './send.ts'
import { compileSigner } from './sign.ts'
import { describeTarget, makeTargets, type Target, type TargetView } from './target.ts'
import type { UploadLimits } from './upload.ts'

/** A named upstream and its state in this isolate; every route that names it shares this. */
export interface Upstream {
  readonly name: string
  readonly config: UpstreamConfig
  readonly targets: readonly Target[]
  readonly budget: RetryBudget
  readonly breakerSnapshot: BreakerSnapshot | undefined
  /** Reports to the breaker object and receives its updates; undefined for an upstream without breaker, health checks and admin. */
  readonly breakerClient: BreakerClient | undefined
  readonly balancer: Balancer
  /** The tries to all its targets. */
  readonly load: Readonly<InFlightCount>
  /** The requests in flight, which `maxConcurrent` bounds. */
  readonly inFlightRequests: InFlightRequests
  /** The state of its targets in this isolate, for the admin API. */
  readonly describeTargets: () => TargetView[]
  /** `open` while the breaker refuses requests, by this isolate's snapshot. */
  readonly condition: () => 'ok' | 'open'
  /** `unreachable` while the breaker object does not respond, so that this isolate decides alone. */
  readonly breakerStore: () => 'ok' | 'unreachable'
  /** How many reports could not be delivered since this isolate started. */
  readonly undeliveredReports: () => number
}

/** What a route overrides; durations in milliseconds. `retry: null` and `hedge: null` switch it off. */
export type UpstreamOverride = Omit<z.output<typeof upstreamOverride>, 'name'> & {
  readonly location?: LocationMode | undefined
}

/** Makes an upstream's shared state; throws an Error that names the JSON path when a `$env` URL cannot be resolved. */
export function makeUpstream(name: string, config: UpstreamConfig, platform: Platform): Upstream {
  const targets = makeTargets(name, config.targets, platform.variable)
  const hasUpdates = config.circuitBreaker !== undefined || config.healthCheck !== undefined || platform.hasAdmin
  const breakerClient = hasUpdates ? makeBreakerClient(name, config, targets, platform) : undefined
  const { circuitBreaker } = config
  const breakerSnapshot =
    circuitBreaker && breakerClient && makeBreakerSnapshot(breakerClient, circuitBreaker.maxOpenDuration)
  return {
    name,
    config,
    targets,
    budget: makeRetryBudget(config.retry?.budget ?? z.parse(retryBudget, {})),
    breakerSnapshot,
    breakerClient,
    balancer: makeBalancer(targets, config, platform, (target) => logOutlier(name, target, platform)),
    load: {
      get inFlight() {
        return targets.reduce((sum, target) => sum + target.inFlight, 0)
      },
    },
    inFlightRequests: { count: 0 },
    describeTargets: () => targets.map((target) => describeTarget(target, platform.now())),
    condition: () => (breakerSnapshot?.isOpen() ? 'open' : 'ok'),
    breakerStore: () => (breakerClient?.isAlone() ? 'unreachable' : 'ok'),
    undeliveredReports: () => breakerClient?.timesAlone() ?? 0,
  }
}

function logOutlier(upstream: string, { label, outlierState }: Target, platform: Platform): void {
  const isOut = outlierState.state === 'ejected'
  const ejection = isOut ? { forMs: outlierState.ms, ejections: outlierState.ejections } : {}
  const event = isOut ? 'target-ejected' : 'target-returned'
  logEvent(event, { upstream, target: label, ...ejection }, platform.variable('LOG_LEVEL'), platform.now())
}

/** Compiles a route's handler for its upstream. Only configured stages exist; outside in: deadline, shed, breaker, hedge, retry or reconnect, balance, send. */
export function compileUpstream(upstream: Upstream, override: UpstreamOverride = {}, platform: Platform): Handler {
  const { config, breakerSnapshot, breakerClient, balancer } = upstream
  const timeout = override.timeout ?? config.timeout
  const retryConfig = override.retry === undefined ? config.retry : override.retry
  const hedgeConfig = override.hedge === undefined ? config.hedge : override.hedge
  const limits: UploadLimits = {
    timeout,
    perTryTimeout: retryConfig?.perTryTimeout ?? timeout,
    uploadIdleTimeout: override.uploadIdleTimeout ?? config.uploadIdleTimeout,
  }
  const options: SendOptions = {
    ...limits,
    idleTimeout: override.idleTimeout ?? config.idleTimeout,
    location: override.location,
    tellsAttempt: config.tell.includes('x-attempt'),
    tellsTimeout: config.tell.includes('x-request-timeout-ms'),
    sign: config.sign && compileSigner(config.sign, limits, platform),
  }
  const stages: Middleware[] = [deadline(timeout, platform)]
  if (config.maxConcurrent !== undefined) stages.push(shed(config.maxConcurrent, upstream.inFlightRequests))
  if (breakerSnapshot) stages.push(breaker(config.circuitBreaker!, breakerSnapshot, platform))
  else if (breakerClient) stages.push(pollConditions(breakerClient, platform))
  const budget = retryConfig ? budgetFor(upstream, retryConfig) : upstream.budget
  if (retryConfig !== null || hedgeConfig) stages.push(countRequests(budget))
  if (hedgeConfig) stages.push(hedge(hedgeConfig, budget, platform))
  if (retryConfig) stages.push(retry(retryConfig, budget, limits, platform))
  else if (retryConfig === undefined) stages.push(reconnect(budget, platform))
  const sendTo = (target: Target) => compose(balancer.middlewareFor(target), send(target, options, target, platform))
  return compose(stages, balance(balancer, sendTo))
}

/** Routes share their upstream's budget; a route that overrides `retry` has its own. */
function budgetFor(upstream: Upstream, config: RetryConfig): RetryBudget {
  return config === upstream.config.retry ? upstream.budget : makeRetryBudget(config.budget)
}
