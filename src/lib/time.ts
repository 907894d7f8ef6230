/** Resolves after `ms` milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Milliseconds from `since` to `now`; 0 when the clock was set back in between. */
export function elapsed(since: number, now: number): number {
  return Math.max(0, now - since)
}

/** Milliseconds between `a` and `b`, whichever is later: the age of what must not seem new again when the clock is set back. */
export function distance(a: number, b: number): number {
  return Math.abs(a - b)
}

/**
 * The result of `run`; undefined when it throws, rejects, or takes longer than `ms` milliseconds. Never rejects, and leaves no timer
 * behind. A late result is dropped; the work itself is not cancelled.
 */
export async function withTimeout<T>(ms: number, run: () => PromiseLike<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([run(), late])
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
  }
}

/** A stretch of time: when it began, in epoch milliseconds, and how long it is, in milliseconds. */
export interface Interval {
  readonly since: number
  readonly ms: number
}

/**
 * How many milliseconds of it are left. The distance from its beginning counts, because a clock may step back: what would last
 * until a point in time would then last until the clock has caught up.
 */
export function remaining({ since, ms }: Interval, now: number): number {
  return Math.max(0, ms - Math.abs(now - since))
}
