import * as z from 'zod/mini'
import { expectedOneOf } from '../config/schema/diagnostic.ts'
import { doc, percent } from '../config/schema/scalars.ts'
import { makeBackgroundExchange, type Exchange, type Outgoing } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import { perPlatformAndName, type Platform } from '../core/platform.ts'
import { definePolicy } from '../core/policy.ts'
import { discardBody } from '../lib/body.ts'

/** The header that marks a copy. */
const MIRROR_HEADER = 'x-umbral-mirror'
/** Larger bodies are not copied. */
const MAX_BODY_BYTES = 64 * 1024
/** The most copies in flight to one upstream, per isolate; a shadow that reaches it is not responding. */
const MAX_IN_FLIGHT = 100

/** The policy `mirror`: sends copies of a share of a route's requests to another upstream and discards the responses. */
export const mirror = definePolicy({
  name: 'mirror',
  config: z.strictObject({
    upstream: doc(
      z.string(),
      'The upstream that gets the copies. Not one that responds on this route, which the copies could overload. Required.',
    ),
    percent: doc(
      z.prefault(percent, 100),
      'How many of the requests that go to the route’s own upstream are copied, from 0 to 100, at random. Default 100.',
    ),
  }),
  facts: ({ upstream }) => ({ copyingUpstreams: [upstream], needsUpstream: [[]] }),
  check({ upstream }, route) {
    const path = ['upstream']
    if (!route.upstreams.includes(upstream))
      return [{ path, message: `no upstream "${upstream}"; ${expectedOneOf(upstream, route.upstreams)}` }]
    if (upstream === route.upstream)
      return [{ path, message: `"${upstream}" is the route’s own upstream: it would get every request twice` }]
    return []
  },
  /** An upstream that responds to some requests and gets copies of the others: the copies could open its breaker or fill it. */
  checkBeside: ({ upstream }, declared) =>
    declared
      .filter(({ respondingUpstreams = [] }) => respondingUpstreams.includes(upstream))
      .map(({ policy }) => ({
        path: ['mirror', 'upstream'],
        message: `"${upstream}" responds to a share of this route’s requests (${policy}), which copies could affect; expected another upstream, which may have the same targets`,
      })),
  injects: () => [MIRROR_HEADER],

  compile(config, platform, route) {
    // A route without an upstream may inherit the policy; it has nothing to copy.
    if (route.upstream === undefined) return (next) => next
    const shadow = shadowOf(platform, config.upstream)
    const send = route.sendTo(config.upstream, 'once')
    return (next) => (x) => {
      if (platform.random() * 100 >= config.percent) return next(x)
      // Copied before the stages of the real request write to it; sent after that request, which has precedence.
      const outgoing = copyOutgoing(x.outgoing)
      const response = next(x)
      const copy = async () => {
        // Without a try the request was refused, for example by a breaker.
        if (x.attempts === 0) return
        if (outgoing === undefined) shadow.counters.skipped++
        else if (!hasRoom(shadow, platform.now())) shadow.counters.dropped++
        else await sendCopy(makeBackgroundExchange(x, outgoing, platform.now()), send, shadow)
      }
      // A request that is signed or buffered first has not been sent yet; whether it was is known at its response.
      x.waitUntil(x.attempts > 0 ? copy() : response.then(copy, copy))
      return response
    }
  },
})

/** Counts of the requests selected for copying, since the isolate started. */
export interface MirrorCounters {
  /** Copies sent. */
  sent: number
  /** Of those, the ones without a response below 500. */
  failed: number
  /** Not sent: a body that streams or is too large, or a WebSocket. */
  skipped: number
  /** Not sent: too many were in flight. */
  dropped: number
}

/** An upstream that gets copies, and the copies in flight to it. */
interface Shadow {
  readonly counters: MirrorCounters
  readonly inFlight: Set<Exchange>
}

/** The shadow of an upstream, by its name; routes that copy to the same upstream share its bound. */
const shadowOf = perPlatformAndName<Platform, Shadow>(() => ({
  counters: { sent: 0, failed: 0, skipped: 0, dropped: 0 },
  inFlight: new Set<Exchange>(),
}))

/** The counters of this isolate, by the upstream that gets the copies; empty until a route with `mirror` was used. */
export function mirrorCounters(platform: Platform): Readonly<Record<string, Readonly<MirrorCounters>>> {
  const shadows = Object.entries(shadowOf.all(platform))
  return Object.fromEntries(shadows.map(([upstream, { counters }]) => [upstream, counters]))
}

/** Whether one more copy may be in flight. The runtime may cancel a copy without running its `finally`, so those past their deadline are removed here. */
function hasRoom({ inFlight }: Shadow, now: number): boolean {
  if (inFlight.size < MAX_IN_FLIGHT) return true
  for (const copy of inFlight) if (copy.deadline < now) inFlight.delete(copy)
  return inFlight.size < MAX_IN_FLIGHT
}

/** Sends one copy and counts its result. Never rejects. */
async function sendCopy(copy: Exchange, send: Handler, { counters, inFlight }: Shadow): Promise<void> {
  counters.sent++
  inFlight.add(copy)
  try {
    const response = await send(copy)
    if (response.status >= 500) counters.failed++
    discardBody(response)
  } catch {
    counters.failed++
  } finally {
    inFlight.delete(copy)
  }
}

/** The outgoing request of the copy; undefined when it cannot be copied without affecting the real request. */
function copyOutgoing({ body, headers, ...line }: Outgoing): Outgoing | undefined {
  // GET and HEAD are sent without their body (RFC 9110 §9.3.1).
  const content = line.method === 'GET' || line.method === 'HEAD' ? null : body
  if (content instanceof ReadableStream || (content?.byteLength ?? 0) > MAX_BODY_BYTES) return undefined
  if (headers.upgrade !== undefined) return undefined
  // The shadow's spans do not belong to the caller's trace.
  const { traceparent: _parent, tracestate: _state, ...others } = headers
  return { ...line, headers: { ...others, [MIRROR_HEADER]: '1' }, body: content }
}
