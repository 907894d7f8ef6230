import {
  algorithmOf,
  hasEnded,
  leaseMs,
  windowEnd,
  type LimiterSpec,
  type TakeGrant,
  type TakeRequest,
} from '../limiter.ts'

/** The count of one key; `{ endsAt: 0, used: 0 }` for an unknown key. */
export interface WindowCount {
  /** Epoch milliseconds of expiry: the window ends, the last mark is past, or the bucket is full again. */
  endsAt: number
  /** Of a bucket: the tokens that were missing at the last take, which may be a fraction. */
  used: number
  /** Of a sliding window: pairs of an expiry (epoch milliseconds) and an amount, the earliest first. Never more than `mostMarks` pairs. */
  marks?: number[] | undefined
}

/** Up to this limit a sliding window records each take with its millisecond. */
const EXACT_UP_TO = 1_000

/** Above it, takes are counted by sub-windows of a 128th, each whole until it is wholly past: never too few, and 0.8 % too long at most. */
const SUB_WINDOWS = 128

/** Fractions of a token add up to a little less or more than a whole one. */
const ROUNDING = 1e-6

/**
 * Takes the tokens of `ask` that are left from `count` at `now` (epoch milliseconds), or none, which changes nothing. The script in
 * scripts.ts decides the same with the same arithmetic: both must be changed together. `exactUpTo` is the limit of sliding windows up
 * to which each take is a mark of its own.
 */
export function takeFrom(
  count: WindowCount,
  spec: LimiterSpec,
  ask: TakeRequest,
  now: number,
  exactUpTo = EXACT_UP_TO,
): TakeGrant {
  switch (algorithmOf(spec)) {
    case 'fixed-window':
      return takeOfWindow(count, spec, ask, now)
    case 'sliding-window':
      return takeOfMarks(count, spec, ask, now, grainMs(spec, exactUpTo))
    case 'token-bucket':
      return takeOfBucket(count, spec, ask, now)
  }
}

/** Milliseconds in which an empty bucket fills. */
export function fillMs({ limit, windowMs, burst = limit }: LimiterSpec): number {
  return Math.ceil(burst / (limit / windowMs))
}

/** To what multiple of milliseconds the end of a mark is rounded up. */
export function grainMs({ limit, windowMs }: LimiterSpec, exactUpTo = EXACT_UP_TO): number {
  return limit <= exactUpTo ? 1 : Math.max(1, Math.floor(windowMs / SUB_WINDOWS))
}

/** The longest time that a mark of a sliding window counts, milliseconds: for a lease, until its expiry plus a window. */
export function markMs(spec: LimiterSpec, grain: number): number {
  return spec.windowMs + leaseMs(spec) + grain
}

function portion(left: number, { want, atLeast }: TakeRequest): number {
  const most = Math.max(0, Math.min(want, left))
  return most >= atLeast ? most : 0
}

function takeOfWindow(count: WindowCount, spec: LimiterSpec, ask: TakeRequest, now: number): TakeGrant {
  const { limit, windowMs } = spec
  const ended = hasEnded(count.endsAt, now, windowMs)
  const endsAt = ended ? windowEnd(now, windowMs) : count.endsAt
  const before = ended ? 0 : count.used
  const granted = portion(limit - before, ask)
  const used = before + granted
  if (granted > 0) keep(count, endsAt, used)
  const resetMs = endsAt - now
  const remaining = Math.max(0, limit - used)
  return { granted, remaining, resetMs, storeNow: now, expiresMs: Math.min(leaseMs(spec), resetMs) }
}

function takeOfMarks(count: WindowCount, spec: LimiterSpec, ask: TakeRequest, now: number, grain: number): TakeGrant {
  const { limit, windowMs } = spec
  const longest = markMs(spec, grain)
  const marks = liveMarks(count.marks ?? [], now, 2 * longest)
  const before = amountOf(marks)
  const granted = portion(limit - before, ask)
  const used = before + granted
  if (granted > 0) {
    const spentBy = now + (ask.want > ask.atLeast ? leaseMs(spec) : 0)
    mark(marks, Math.ceil((spentBy + windowMs) / grain) * grain, granted)
    keep(count, now + longest, used)
    count.marks = marks
  }
  const wanted = granted > 0 ? limit - used + 1 : Math.max(1, ask.atLeast)
  const resetMs = Math.max(1, freedAt(marks, used + wanted - limit, now) - now)
  return { granted, remaining: Math.max(0, limit - used), resetMs, storeNow: now, expiresMs: leaseMs(spec) }
}

/** A copy without expired parts; after a clock jumped back by more than `horizonMs` the count starts anew. */
function liveMarks(marks: readonly number[], now: number, horizonMs: number): number[] {
  const live: number[] = []
  for (let i = 0; i < marks.length; i += 2) {
    const until = marks[i]!
    if (until > now && until - now <= horizonMs) live.push(until, marks[i + 1]!)
  }
  return live
}

function amountOf(marks: readonly number[]): number {
  let sum = 0
  for (let i = 1; i < marks.length; i += 2) sum += marks[i]!
  return sum
}

/** Mostly at the end: only a lease's mark is later than that of a take after it. */
function mark(marks: number[], until: number, amount: number): void {
  let at = marks.length
  while (at > 0 && marks[at - 2]! > until) at -= 2
  if (at > 0 && marks[at - 2] === until) marks[at - 1]! += amount
  else marks.splice(at, 0, until, amount)
}

/** When marks of `amount` tokens have expired; all marks, where `amount` is more than they hold. */
function freedAt(marks: readonly number[], amount: number, now: number): number {
  let at = now
  let freed = 0
  for (let i = 0; i < marks.length && freed < amount; i += 2) {
    at = marks[i]!
    freed += marks[i + 1]!
  }
  return at
}

/** A bucket is kept for as long as an empty one takes to fill, so `endsAt` also determines the time of the last take. */
function takeOfBucket(count: WindowCount, spec: LimiterSpec, ask: TakeRequest, now: number): TakeGrant {
  const { limit, windowMs, burst = limit } = spec
  const perMs = limit / windowMs
  const fill = fillMs(spec)
  const ended = hasEnded(count.endsAt, now, fill)
  // A clock that steps back adds no tokens, and adds none twice when it has caught up.
  const at = ended ? now : Math.max(now, count.endsAt - fill)
  const before = ended ? 0 : Math.max(0, count.used - (at - (count.endsAt - fill)) * perMs)
  const granted = portion(Math.floor(burst - before + ROUNDING), ask)
  const used = before + granted
  if (granted > 0) keep(count, at + fill, used)
  const remaining = Math.max(0, Math.floor(burst - used + ROUNDING))
  const wanted = granted > 0 ? remaining + 1 : Math.max(1, ask.atLeast)
  const resetMs = Math.max(1, Math.ceil((used + wanted - burst - ROUNDING / 2) / perMs))
  return { granted, remaining, resetMs, storeNow: now, expiresMs: leaseMs(spec) }
}

function keep(count: WindowCount, endsAt: number, used: number): void {
  count.endsAt = endsAt
  count.used = used
}
