/** A stretch of time: when it began, in epoch milliseconds, and how long it is, in milliseconds. */
export interface Term {
  readonly since: number
  readonly ms: number
}

/**
 * How many milliseconds of it are left. The distance from its beginning counts, because a clock may step back: what would last
 * until a point in time would then last until the clock has caught up.
 */
export function leftOf({ since, ms }: Term, now: number): number {
  return Math.max(0, ms - Math.abs(now - since))
}
