import * as z from 'zod/mini'
import { choice, doc, duration, METHODS, notYet, urlOrEnv } from './scalars.ts'

const percent = z.number().check(z.gte(0), z.lte(100))
const count = z.int().check(z.gte(1))

const retry = z.strictObject({
  attempts: doc(
    z.prefault(z.int().check(z.gte(1), z.lte(10)), 2),
    'How often a failed try may be repeated, each time on another target where there is one. Default 2.',
  ),
  perTryTimeout: z.optional(
    doc(
      duration(),
      'How long one try may take until its response headers; less than `timeout`. Default: what is left of `timeout`.',
    ),
  ),
  retryOn: doc(
    z.prefault(
      z.array(choice(['connect-failure', 'reset', 'gateway-error', '5xx', 'retriable-status'])).check(z.minLength(1)),
      ['connect-failure', 'reset', 'gateway-error'],
    ),
    'What counts as a failed try. connect-failure and reset: no response headers came; gateway-error: 502, 503, 504. Default connect-failure, reset, gateway-error.',
  ),
  retriableStatusCodes: doc(
    z.prefault(z.array(z.int().check(z.gte(400), z.lte(599))), []),
    'The statuses of `retriable-status`. Default none.',
  ),
  methods: doc(
    z.prefault(z.array(choice(METHODS)), ['GET', 'HEAD', 'OPTIONS']),
    'The methods that are repeated; POST and PATCH need `idempotency`. Default GET, HEAD, OPTIONS.',
  ),
  backoff: doc(
    z.prefault(z.strictObject({ base: z.prefault(duration(), '25ms'), max: z.prefault(duration(), '250ms') }), {}),
    'The wait before retry N is random in [0, min(max, (2^N − 1) · base)). Default 25ms, 250ms.',
  ),
  respectRetryAfter: doc(
    z.prefault(z.boolean(), true),
    'Whether the origin’s Retry-After sets the wait, and whether a 429 with one is repeated. Default true.',
  ),
  budget: doc(
    z.prefault(
      z.strictObject({
        percent: z.prefault(percent, 20),
        window: z.prefault(duration(1_000), '10s'),
        minPerSecond: z.prefault(z.number().check(z.gte(0)), 3),
      }),
      {},
    ),
    'Retries in any window, per isolate, stay under percent of the requests plus minPerSecond. Default 20 % of 10s, 3 a second.',
  ),
})

const circuitBreaker = z.strictObject({
  failureRate: doc(z.prefault(percent.check(z.gt(0)), 50), 'Opens at this percentage of failures. Default 50.'),
  slowCallRate: doc(z.prefault(percent.check(z.gt(0)), 100), 'Opens at this percentage of slow calls. Default 100.'),
  slowCallDuration: doc(
    z.prefault(duration(), '60s'),
    'A call is slow when its response headers take longer. Default 60s.',
  ),
  minimumRequests: doc(z.prefault(count, 20), 'Never opens on fewer requests than this in the window. Default 20.'),
  window: doc(z.prefault(duration(1_000), '10s'), 'The rolling window over which the rates are taken. Default 10s.'),
  openDuration: doc(
    z.prefault(duration(), '15s'),
    'How long it stays open at first; doubles each time a probe fails. Default 15s.',
  ),
  maxOpenDuration: doc(z.prefault(duration(), '5m'), 'The longest it stays open between probes. Default 5m.'),
  halfOpenProbes: doc(z.prefault(count, 1), 'How many requests may probe at once, world-wide. Default 1.'),
  failureOn: doc(
    z.prefault(z.array(choice(['5xx', 'timeout', 'connect-failure'])).check(z.minLength(1)), [
      '5xx',
      'timeout',
      'connect-failure',
    ]),
    'What counts as a failure. 4xx, callers who left and the gateway’s own refusals never do. Default all three.',
  ),
  onStoreError: doc(
    z.prefault(choice(['local']), 'local'),
    'While the breaker’s Durable Object cannot be reached each isolate decides alone.',
  ),
})

export const upstream = z.strictObject({
  targets: doc(
    z
      .array(
        z.strictObject({
          url: doc(urlOrEnv, 'Scheme, host, port, and a path that is put in front of what is forwarded.'),
          weight: doc(z.prefault(z.int().check(z.gte(0), z.lte(1000)), 1), 'Its share among the targets. Default 1.'),
        }),
      )
      .check(z.minLength(1, 'expected at least one target')),
    'The origins that serve this upstream.',
  ),
  loadBalancing: doc(
    z.prefault(choice(['round-robin'], ['least-requests', 'ewma', 'hash']), 'round-robin'),
    'How a target is chosen. Default round-robin, by weight.',
  ),
  timeout: doc(
    z.prefault(duration(), '15s'),
    'From arrival to response headers, retries and their waits included. Default 15s.',
  ),
  idleTimeout: z.optional(
    doc(
      duration(),
      'The longest pause between two chunks of the response body. Default: none; the body is passed on untouched.',
    ),
  ),
  retry: z.optional(doc(retry, 'Nothing is retried without it.')),
  circuitBreaker: z.optional(doc(circuitBreaker, 'No breaker without it.')),
  hashOn: notYet(),
  hedge: notYet(),
  outlierDetection: notYet(),
  healthCheck: notYet(),
  maxConcurrent: notYet(),
  sign: notYet(),
})

/** What a route may say differently from its upstream. */
export const upstreamOverride = z.strictObject({
  name: z.string(),
  timeout: z.optional(duration()),
  idleTimeout: z.optional(duration()),
  retry: z.optional(z.nullable(retry)),
})

/** A checked upstream; durations in milliseconds. */
export type UpstreamConfig = z.output<typeof upstream>
export type RetryConfig = z.output<typeof retry>
export type CircuitBreakerConfig = z.output<typeof circuitBreaker>

/** Contradictions inside one upstream, as [path below it, message]. */
export function checkUpstream(
  config: Pick<UpstreamConfig, 'timeout' | 'retry'> & Partial<UpstreamConfig>,
): [path: string[], message: string][] {
  const found: [string[], string][] = []
  if (config.targets?.every((target) => target.weight === 0))
    found.push([['targets'], 'expected at least one target with a weight above 0'])
  const { retry: again } = config
  if (again?.perTryTimeout !== undefined && again.perTryTimeout >= config.timeout) {
    found.push([
      ['retry', 'perTryTimeout'],
      `expected less than the timeout (${config.timeout}ms), found ${again.perTryTimeout}ms`,
    ])
  }
  for (const unsafe of again?.methods.filter((name) => name === 'POST' || name === 'PATCH') ?? []) {
    found.push([
      ['retry', 'methods'],
      `${unsafe} is not idempotent: it needs the policy "idempotency", which is not supported yet`,
    ])
  }
  if (again?.retryOn.includes('retriable-status') && again.retriableStatusCodes.length === 0) {
    found.push([['retry', 'retriableStatusCodes'], 'expected the statuses that "retriable-status" stands for'])
  }
  if (config.circuitBreaker && config.circuitBreaker.maxOpenDuration < config.circuitBreaker.openDuration) {
    found.push([['circuitBreaker', 'maxOpenDuration'], 'expected at least openDuration'])
  }
  return found
}
