import { hasEnded, type LimiterSpec, type Verdict, windowEnd } from './limiter.ts'

/** What is kept of one key; `{ endsAt: 0, used: 0 }` of a key that nothing is known of. */
export interface Count {
  /** Epoch milliseconds from which on it says nothing any more: the window has ended, the bucket is full again. */
  endsAt: number
  /** Of a bucket what was missing when something was last taken, which may be a fraction. */
  used: number
}

/** Takes `cost` from `count` at `now` (epoch milliseconds) when that much is left; a refusal changes nothing. */
export function takeFrom(count: Count, spec: LimiterSpec, cost: number, now: number): Verdict {
  return spec.burst === undefined
    ? takeOfWindow(count, spec, cost, now)
    : takeOfBucket(count, spec, spec.burst, cost, now)
}

function takeOfWindow(count: Count, { limit, windowMs }: LimiterSpec, cost: number, now: number): Verdict {
  const ended = hasEnded(count.endsAt, now, windowMs)
  const endsAt = ended ? windowEnd(now, windowMs) : count.endsAt
  const before = ended ? 0 : count.used
  const allowed = before + cost <= limit
  const used = allowed ? before + cost : before
  if (allowed) keep(count, endsAt, used)
  return { allowed, remaining: limit - used, resetMs: endsAt - now }
}

/** Fractions of a token add up to a little less or more than a whole one. */
const ROUNDING = 1e-6

/** A bucket is kept for as long as an empty one takes to fill, so that `endsAt` also says when something was last taken. */
function takeOfBucket(
  count: Count,
  { limit, windowMs }: LimiterSpec,
  burst: number,
  cost: number,
  now: number,
): Verdict {
  const perMs = limit / windowMs
  const fillMs = Math.ceil(burst / perMs)
  const ended = hasEnded(count.endsAt, now, fillMs)
  // A clock that steps back fills nothing, and has filled nothing twice when it has caught up.
  const at = ended ? now : Math.max(now, count.endsAt - fillMs)
  const before = ended ? 0 : Math.max(0, count.used - (at - (count.endsAt - fillMs)) * perMs)
  const allowed = before + cost <= burst + ROUNDING
  const used = allowed ? before + cost : before
  if (allowed) keep(count, at + fillMs, used)
  const remaining = Math.max(0, Math.floor(burst - used + ROUNDING))
  const wanted = allowed ? remaining + 1 : cost
  return { allowed, remaining, resetMs: Math.max(1, Math.ceil((used + wanted - burst - ROUNDING / 2) / perMs)) }
}

function keep(count: Count, endsAt: number, used: number): void {
  count.endsAt = endsAt
  count.used = used
}
