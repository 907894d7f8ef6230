import * as z from 'zod/mini'
import { component, keyid } from '../auth/config/http-signature.ts'
import {
  choice,
  distinct,
  doc,
  duration,
  expected,
  percent,
  secretRef,
  size,
  urlOrEnv,
} from '../config/schema/scalars.ts'
import { stickyKey } from '../core/request-attribute.ts'
import { SIGNATURE_ALGORITHMS } from '../signatures/algorithm.ts'
import { healthCheck, outlierDetectionSchema } from './health/config.ts'
import { hedgeSchema, retrySchema } from './retry/config.ts'

/** Fields that the gateway or the runtime writes during a try, or that are dropped with the connection: a signature over them would not verify. */
const MUTABLE_FIELDS =
  /^(?:host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|content-length|traceparent|tracestate|x-attempt|x-request-timeout-ms|signature|signature-input)$/

/** The headers that an upstream receives only when its `tell` names them. */
const TOLD_HEADERS = ['x-attempt', 'x-request-timeout-ms', 'x-auth-issuer', 'x-auth-roles'] as const

/** The schema of an upstream's `sign`. */
export const sign = z
  .strictObject({
    keyid: doc(keyid, 'The name by which the origin knows the key.'),
    alg: doc(choice(SIGNATURE_ALGORITHMS), 'hmac-sha256 goes with `secret`, every other one with `key`.'),
    secret: z.optional(doc(secretRef, 'The secret shared with the origin: at least 32 bytes of text.')),
    key: z.optional(doc(secretRef, 'The private key, PKCS #8 in PEM (-----BEGIN PRIVATE KEY-----).')),
    components: doc(
      z.prefault(
        z
          .array(
            component.check(
              z.refine(
                (name) => !MUTABLE_FIELDS.test(name),
                expected('expected a field that stays as it is on its way'),
              ),
            ),
          )
          .check(z.minLength(1), distinct()),
        ['@method', '@target-uri', 'content-digest'],
      ),
      'What is covered; fields that a request does not have are left out. content-digest is added to requests whose body is known whole. Default @method, @target-uri, content-digest.',
    ),
    maxAge: doc(
      z.prefault(duration(1_000, 3_600_000), '1m'),
      'From `created` to `expires`, in whole seconds. Default 1m.',
    ),
    maxBody: doc(
      z.prefault(size(), '64kb'),
      'Bodies up to this that say their length are read whole before they are sent, so that their digest is covered; others stream, and are not. Default 64kb.',
    ),
  })
  .check(
    z.refine(({ alg, secret, key }) => (alg === 'hmac-sha256' ? secret && !key : key && !secret), {
      path: ['alg'],
      message: 'expected "hmac-sha256" with "secret" alone, or another algorithm with "key" alone',
    }),
  )

const count = z.int().check(z.gte(1))
const circuitBreaker = z.strictObject({
  failureRate: doc(z.prefault(percent.check(z.gt(0)), 50), 'Opens at this percentage of failures. Default 50.'),
  slowCallRate: doc(z.prefault(percent.check(z.gt(0)), 100), 'Opens at this percentage of slow calls. Default 100.'),
  slowCallDuration: doc(
    z.prefault(duration(), '60s'),
    'A call is slow when its response headers take longer; less than `timeout`, or no call ever is. Default 60s.',
  ),
  minimumRequests: doc(
    z.prefault(count, 20),
    'The fewest requests in the window at which the breaker can open. Default 20.',
  ),
  window: doc(z.prefault(duration(1_000), '10s'), 'The rolling window over which the rates are taken. Default 10s.'),
  openDuration: doc(
    z.prefault(duration(), '15s'),
    'How long the breaker stays open at first; doubles each time a probe fails. Default 15s.',
  ),
  maxOpenDuration: doc(
    z.prefault(duration(), '5m'),
    'The longest that the breaker stays open between probes. Default 5m.',
  ),
  halfOpenProbes: doc(z.prefault(count, 1), 'How many requests may probe at once, in all regions together. Default 1.'),
  failureOn: doc(
    z.prefault(z.array(choice(['5xx', 'timeout', 'connect-failure'])).check(z.minLength(1), distinct()), [
      '5xx',
      'timeout',
      'connect-failure',
    ]),
    'What counts as a failure. 4xx, clients that disconnect and the gateway’s own refusals never do. Default all three.',
  ),
  onStoreError: doc(
    z.prefault(choice(['local']), 'local'),
    'What happens while the breaker’s Durable Object is unreachable. local: each isolate decides alone. Default local.',
  ),
})

/** The schema of one entry of `upstreams`. */
export const upstream = z.strictObject({
  targets: doc(
    z
      .array(
        z.strictObject({
          url: doc(urlOrEnv, 'Scheme, host, port, and a path that is put in front of what is forwarded.'),
          insecure: z.optional(
            doc(
              z.boolean(),
              'Whether plain HTTP is allowed although `transport.targets` demands https: for a target on the same machine or in a network of its own. Default false.',
            ),
          ),
          weight: doc(z.prefault(z.int().check(z.gte(0), z.lte(1000)), 1), 'Its share among the targets. Default 1.'),
        }),
      )
      .check(z.minLength(1, 'expected at least one target')),
    'The origins that serve this upstream.',
  ),
  loadBalancing: doc(
    z.prefault(choice(['round-robin', 'least-requests', 'ewma', 'hash']), 'round-robin'),
    'How a target is chosen: in turn; of two, the next in turn and one at random, the one with fewer requests in flight, or the one with the lower average response time; or always the same for the same `hashOn`. All by weight. Default round-robin.',
  ),
  hashOn: z.optional(
    doc(
      stickyKey,
      'Goes with `hash`: client.ip, jwt.<claim> or header:<name>. Requests that lack it are balanced in turn. No default.',
    ),
  ),
  timeout: doc(
    z.prefault(duration(), '15s'),
    'From the end of the request’s body, or from arrival where it has none, to response headers; retries and their waits included. Default 15s.',
  ),
  uploadIdleTimeout: doc(
    z.prefault(duration(), '30s'),
    'The longest pause of a client that sends a body. Default 30s.',
  ),
  idleTimeout: z.optional(
    doc(
      duration(),
      'The longest pause between two chunks of the response body. Default: none; the body is passed on untouched.',
    ),
  ),
  retry: z.optional(
    doc(
      z.nullable(retrySchema),
      'Without it a GET, HEAD or OPTIONS whose connection fails is sent once more, at once. `null` retries nothing.',
    ),
  ),
  circuitBreaker: z.optional(doc(circuitBreaker, 'No breaker without it.')),
  hedge: z.optional(
    doc(
      hedgeSchema,
      'Sends GET and HEAD once more when the first response is late, and takes the first good one. No hedging without it.',
    ),
  ),
  outlierDetection: z.optional(
    doc(outlierDetectionSchema, 'Ejects targets that keep failing. No target is ejected without it.'),
  ),
  healthCheck: z.optional(
    doc(healthCheck, 'Checks each target with a request of the gateway’s own. No checks without it.'),
  ),
  maxConcurrent: z.optional(
    doc(
      z.int().check(z.gte(1), z.lte(100_000)),
      'The most requests that may wait for response headers at once, in each isolate; further ones get 503 at once. Default: no bound.',
    ),
  ),
  tell: doc(
    z.prefault(z.array(choice(TOLD_HEADERS)).check(distinct()), []),
    'Further headers that its origins receive: the number of the try, the milliseconds left for it, the issuer and the roles of the caller. Each costs the gateway and the origin. Default none.',
  ),
  sign: z.optional(
    doc(
      sign,
      'Signs every request to it (RFC 9421), so that it can refuse requests that bypass the gateway. No signature without it.',
    ),
  ),
})

/** The schema of what a route overrides of its upstream. */
export const upstreamOverride = z.strictObject({
  name: doc(z.string(), 'The upstream.'),
  timeout: z.optional(doc(duration(), '`timeout` on this route. Default: the upstream’s.')),
  uploadIdleTimeout: z.optional(
    doc(duration(), 'The longest pause of a client that sends a body. Default: the upstream’s.'),
  ),
  idleTimeout: z.optional(
    doc(duration(), 'The longest pause between two chunks of the response body. Default: the upstream’s.'),
  ),
  retry: z.optional(
    doc(
      z.nullable(retrySchema),
      'In place of the whole of the upstream’s `retry`, with a budget of its own; `null` retries nothing. Default: the upstream’s.',
    ),
  ),
  hedge: z.optional(
    doc(z.nullable(hedgeSchema), 'In place of the upstream’s `hedge`; `null` never hedges. Default: the upstream’s.'),
  ),
})

/** A checked upstream; durations in milliseconds. */
export type UpstreamConfig = z.output<typeof upstream>
/** A checked `circuitBreaker`; durations in milliseconds. */
export type CircuitBreakerConfig = z.output<typeof circuitBreaker>

/** A checked `sign`; durations in milliseconds, sizes in bytes. */
export type SignConfig = z.output<typeof sign>
