import * as z from 'zod/mini'
import { choice, distinct, doc, duration, expected, method } from '../../config/schema/scalars.ts'
import { retryBudget } from './retry-budget.ts'

/** The schema of `retry`. */
export const retrySchema = z.strictObject({
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
      z
        .array(choice(['connect-failure', 'reset', 'gateway-error', '5xx', 'retriable-status']))
        .check(z.minLength(1), distinct()),
      ['connect-failure', 'reset', 'gateway-error'],
    ),
    'What counts as a failed try. connect-failure and reset: no response headers came; gateway-error: 502, 503, 504. Default connect-failure, reset, gateway-error.',
  ),
  retriableStatusCodes: doc(
    z.prefault(z.array(z.int().check(z.gte(400), z.lte(599))).check(distinct()), []),
    'The statuses that `retriable-status` in `retryOn` stands for. Default none.',
  ),
  methods: doc(
    z.prefault(z.array(method).check(z.minLength(1), distinct()), ['GET', 'HEAD', 'OPTIONS']),
    'The methods that are repeated; those that are not idempotent, such as POST, PATCH and LOCK, are refused. Default GET, HEAD, OPTIONS.',
  ),
  backoff: doc(
    z.prefault(
      z.strictObject({
        base: doc(z.prefault(duration(), '25ms'), 'The longest wait before the first retry. Default 25ms.'),
        max: doc(z.prefault(duration(), '250ms'), 'The longest wait before any retry. Default 250ms.'),
      }),
      {},
    ),
    'The wait before retry N is random in [0, min(max, (2^N − 1) · base)). Default 25ms, 250ms.',
  ),
  respectRetryAfter: doc(
    z.prefault(z.boolean(), true),
    'Whether the origin’s Retry-After sets the wait, and whether a 429 with one is repeated. Default true.',
  ),
  budget: doc(
    z.prefault(retryBudget, {}),
    'What retries and hedges may add, per isolate: percent of the requests of the window, and minPerSecond beyond that. Default 20 % of 10s, 3 a second.',
  ),
})

/** The schema of `hedge`. */
export const hedgeSchema = z.strictObject({
  after: doc(
    z.prefault(
      z.union([z.literal('p95'), duration()], expected('expected "p95" or a duration such as "100ms"')),
      'p95',
    ),
    'The wait before the hedged attempt: a duration, or `p95`, the 95th percentile of this route’s response times. Default p95.',
  ),
  max: doc(z.prefault(z.int().check(z.gte(1), z.lte(3)), 1), 'How many more tries there may be. Default 1.'),
})

/** A checked `retry`; durations in milliseconds. */
export type RetryConfig = z.output<typeof retrySchema>
/** A checked `hedge`; `after` is `p95` or milliseconds. */
export type HedgeConfig = z.output<typeof hedgeSchema>
