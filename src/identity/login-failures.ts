/** How often a login failed lately: of one username from one network, or of one username from anywhere. */
export interface Failures {
  readonly count: number
  /** Epoch milliseconds, after which they are forgotten. */
  readonly until: number
}

/** From then on the pair of username and network is locked: every password is wrong. */
export const MAX_FAILURES = 10
/** Failures are forgotten when none was counted for this long (milliseconds); so a lock lasts as long. */
export const FORGET_MS = 15 * 60_000

const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 5_000

/** What still counts at `now`. Failures of a time that is too far ahead do not: the clock has stepped back. */
export function remembered(failures: Failures | undefined, now: number): Failures | undefined {
  return failures && now < failures.until && failures.until - now <= FORGET_MS ? failures : undefined
}

/** One failure more. */
export function failedAgain(failures: Failures | undefined, now: number): Failures {
  return { count: (failures?.count ?? 0) + 1, until: now + FORGET_MS }
}

/** Whether every password of this pair is wrong for now. Takes what `remembered` answers, since a lock ends when its failures are forgotten. */
export function isLocked(ofPair: Failures | undefined): boolean {
  return ofPair !== undefined && ofPair.count >= MAX_FAILURES
}

/**
 * How long a login of this username waits, in milliseconds, wherever it comes from: nothing for as many failures as one network can cause, then twice
 * as long with each failure up to 5 s. Never a lock, for whoever knows a username could lock its owner out.
 */
export function delayOf(ofUser: Failures | undefined): number {
  const beyond = (ofUser?.count ?? 0) - MAX_FAILURES
  return beyond <= 0 ? 0 : Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (beyond - 1))
}
