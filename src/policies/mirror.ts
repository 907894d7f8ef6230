import * as z from 'zod/mini'
import { expectedOneOf } from '../config/schema/diagnostic.ts'
import { doc, percent } from '../config/schema/scalars.ts'
import { makeBackgroundExchange, type Exchange, type Outgoing } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import { perPlatformAndName, type Platform } from '../core/platform.ts'
import { definePolicy } from '../core/policy.ts'
import { discardBody } from '../lib/body.ts'

/** Says to whoever gets a copy that it is one. */
const MARK = 'x-umbral-mirror'
/** Larger bodies are not copied. */
const MAX_BODY_BYTES = 64 * 1024
/** Copies under way to one upstream, per isolate: more than this and the shadow hangs. */
const MAX_RUNNING = 100

/** Sends copies of a share of a route's requests to another upstream, whose answers nobody sees. */
export const mirror = definePolicy({
  name: 'mirror',
  config: z.strictObject({
    upstream: doc(
      z.string(),
      'Who gets the copies. Not an upstream that answers this route: it could suffer from them. Required.',
    ),
    percent: doc(
      z.prefault(percent, 100),
      'How many of the requests that go to the route’s own upstream are copied, from 0 to 100, by lot. Default 100.',
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
        message: `"${upstream}" answers a share of this route’s requests (${policy}), which copies could harm; expected another upstream, which may have the same targets`,
      })),
  injects: () => [MARK],

  compile(config, platform, route) {
    // Inherited by a route that answers by itself.
    if (route.upstream === undefined) return (next) => next
    const shadow = shadowOf(platform, config.upstream)
    const send = route.sendTo(config.upstream, 'once')
    return (next) => (x) => {
      if (platform.random() * 100 >= config.percent) return next(x)
      // Taken before the stages of the real request write to it; sent after them, so that it comes first in everything.
      const outgoing = copyOutgoing(x.outgoing)
      const answer = next(x)
      const copy = async () => {
        // Not one try: it was refused, by a breaker for example.
        if (x.attempts === 0) return
        if (outgoing === undefined) shadow.counters.skipped++
        else if (!hasRoom(shadow, platform.now())) shadow.counters.dropped++
        else await run(makeBackgroundExchange(x, outgoing, platform.now()), send, shadow)
      }
      // What has to be signed or read first is not under way yet; whether it was sent is known when it is answered.
      x.waitUntil(x.attempts > 0 ? copy() : answer.then(copy, copy))
      return answer
    }
  },
})

/** What became of the requests that were drawn to be copied; counts since the isolate began. */
export interface MirrorCounters {
  /** Copies sent. */
  sent: number
  /** Of those, the ones without an answer below 500. */
  failed: number
  /** Not sent: a body that streams or is too large, or a WebSocket. */
  skipped: number
  /** Not sent: too many were under way. */
  dropped: number
}

/** An upstream that gets copies, and those that are under way to it. */
interface Shadow {
  readonly counters: MirrorCounters
  readonly running: Set<Exchange>
}

/** The shadow of an upstream, by its name; routes that copy to the same upstream share its bound. */
const shadowOf = perPlatformAndName((_: Platform): Shadow => ({
  counters: { sent: 0, failed: 0, skipped: 0, dropped: 0 },
  running: new Set<Exchange>(),
}))

/** The counters of this isolate, by the upstream that gets the copies; empty until a route with `mirror` was used. */
export function mirrorCounters(platform: Platform): Readonly<Record<string, Readonly<MirrorCounters>>> {
  const shadows = Object.entries(shadowOf.all(platform))
  return Object.fromEntries(shadows.map(([upstream, { counters }]) => [upstream, counters]))
}

/** Whether one more copy may be under way. What is past its deadline was cut off by the runtime, and nobody will give it back. */
function hasRoom({ running }: Shadow, now: number): boolean {
  if (running.size < MAX_RUNNING) return true
  for (const copy of running) if (copy.deadline < now) running.delete(copy)
  return running.size < MAX_RUNNING
}

/** Never rejects. */
async function run(copy: Exchange, send: Handler, { counters, running }: Shadow): Promise<void> {
  counters.sent++
  running.add(copy)
  try {
    const response = await send(copy)
    if (response.status >= 500) counters.failed++
    discardBody(response)
  } catch {
    counters.failed++
  } finally {
    running.delete(copy)
  }
}

/** What the copy will send; undefined when that cannot be copied without touching the real request. */
function copyOutgoing({ body, headers, ...line }: Outgoing): Outgoing | undefined {
  // GET and HEAD are sent without their body (RFC 9110 §9.3.1).
  const content = line.method === 'GET' || line.method === 'HEAD' ? null : body
  if (content instanceof ReadableStream || (content?.byteLength ?? 0) > MAX_BODY_BYTES) return undefined
  if (headers.upgrade !== undefined) return undefined
  // The shadow's spans are no part of the caller's trace.
  const { traceparent: _parent, tracestate: _state, ...others } = headers
  return { ...line, headers: { ...others, [MARK]: '1' }, body: content }
}
