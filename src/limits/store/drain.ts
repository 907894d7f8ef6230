import type { Drawn, Grant, StoreCounter } from '../limiter.ts'

/**
 * All of `amount` (at least 1), or else what is left of it; undefined when the store did not answer. In one call where there is enough: what is
 * asked for whole is spent at once, and so a sliding window counts it no longer than it must.
 */
export async function takeUpTo(
  counter: StoreCounter,
  key: string,
  amount: number,
  waitUntil: (work: Promise<unknown>) => void,
): Promise<Grant | undefined> {
  const whole = await counter.take(key, { want: amount, atLeast: amount }, waitUntil)
  if (whole === undefined || whole.granted > 0 || whole.remaining === 0) return whole
  return counter.take(key, { want: amount, atLeast: 1 }, waitUntil)
}

/** What of it there is to tell: nothing, where nothing was granted. */
export function drawFrom(grant: Grant | undefined): Drawn[] {
  return grant === undefined || grant.granted === 0 ? [] : [{ taken: grant.granted, decidedAt: grant.storeNow }]
}
