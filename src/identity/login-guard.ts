import { DurableObject } from 'cloudflare:workers'
import { logObjectError } from '../telemetry/object-errors.ts'
import type { LoginDecision } from './api.ts'

/** About 1 MB on disk, and a scan of about 2 ms. */
const MAX_ROWS = 10_000
const SWEEP_INTERVAL_MS = 60_000

/** Counts the failed logins of its shard: a row for each username and for each pair of username and network, both as hashes. `decide` never throws. */
export class LoginGuard extends DurableObject {
  /** Epoch milliseconds; tests replace these two. */
  now: () => number = Date.now
  maxRows = MAX_ROWS
  #rows: number
  #sweepAt = -Infinity

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    const { sql } = ctx.storage
    sql.exec('CREATE TABLE IF NOT EXISTS failures (key TEXT PRIMARY KEY, count INTEGER, until INTEGER) WITHOUT ROWID')
    this.#rows = this.#count()
  }

  /**
   * Decides on one login after its password was checked, and counts a failure. All logins are decided here one at a time, so parallel
   * logins gain no more guesses than sequential ones, and many correct ones at once do no harm. Undefined when the storage fails.
   */
  decide(user: string, pair: string, passwordMatches: boolean): LoginDecision | undefined {
    try {
      const now = this.now()
      const ofPair = this.#find(pair, now)
      const ofUser = this.#find(user, now)
      const delayMs = loginDelay(ofUser)
      // A failure of a locked pair is not counted: it causes the owner no delay and does not prolong the lock.
      if (isLocked(ofPair)) return { allowed: false, delayMs }
      if (!passwordMatches) {
        this.#store(pair, addFailure(ofPair, now), ofPair === undefined)
        this.#store(user, addFailure(ofUser, now), ofUser === undefined)
      } else if (ofPair) this.#delete(pair)
      // A success clears the failures of its own pair alone: otherwise an attacker would gain guesses from each login of the owner.
      return { allowed: passwordMatches, delayMs }
    } catch (error) {
      logObjectError('LoginGuard', 'decide', error, this.env)
      return undefined
    }
  }

  /** Deletes expired failures. Rejects when the storage fails: the runtime calls it again. */
  override async alarm(): Promise<void> {
    try {
      this.ctx.storage.sql.exec('DELETE FROM failures WHERE until <= ?', this.now())
      this.#rows = this.#count()
      if (this.#rows > 0) await this.#sweepAfter(SWEEP_INTERVAL_MS)
    } catch (error) {
      logObjectError('LoginGuard', 'alarm', error, this.env)
      throw error
    }
  }

  #find(key: string, now: number): LoginFailures | undefined {
    const query = 'SELECT count, until FROM failures WHERE key = ?'
    return unexpiredFailures(this.ctx.storage.sql.exec<{ count: number; until: number }>(query, key).toArray()[0], now)
  }

  #store(key: string, { count, until }: LoginFailures, isNew: boolean): void {
    const { sql } = this.ctx.storage
    if (isNew && this.#rows >= this.maxRows) this.#makeRoom()
    sql.exec('INSERT OR REPLACE INTO failures VALUES (?, ?, ?)', key, count, until)
    // An alarm that is overdue is lost, because the runtime gives one up after some failures. After a restart it is unknown.
    if (this.#rows === 0 || this.now() >= this.#sweepAt + SWEEP_INTERVAL_MS)
      void this.#sweepAfter(FAILURE_TTL_MS).catch((error: unknown) =>
        logObjectError('LoginGuard', 'setAlarm', error, this.env),
      )
    if (isNew) this.#rows++
  }

  #sweepAfter(ms: number): Promise<void> {
    this.#sweepAt = this.now() + ms
    return this.ctx.storage.setAlarm(this.#sweepAt)
  }

  #delete(key: string): void {
    this.ctx.storage.sql.exec('DELETE FROM failures WHERE key = ?', key)
    this.#rows--
  }

  /**
   * Deletes the oldest tenth. An attacker needs thousands of logins to evict a row, and gains ten guesses by it. A shared counter for
   * overflow, as rate limits have, would lock out users without failures.
   */
  #makeRoom(): void {
    const oldest = 'SELECT key FROM failures ORDER BY until LIMIT ?'
    this.ctx.storage.sql.exec(`DELETE FROM failures WHERE key IN (${oldest})`, Math.ceil(this.maxRows / 10))
    this.#rows = this.#count()
  }

  #count(): number {
    return this.ctx.storage.sql.exec<{ n: number }>('SELECT COUNT(*) AS n FROM failures').one().n
  }
}

/** Recent failed logins of one username from one network, or of one username from all networks. */
export interface LoginFailures {
  readonly count: number
  /** When the failures expire, in epoch milliseconds. */
  readonly until: number
}

/** With this many failures a pair of username and network is locked: every password is refused. */
export const MAX_FAILURES = 10
/** Failures expire when none was added for this long, in milliseconds. A lock lasts as long. */
export const FAILURE_TTL_MS = 15 * 60_000

const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 5_000

/** `failures` unless they have expired at `now`, or expire too far ahead because the clock has stepped back. */
export function unexpiredFailures(failures: LoginFailures | undefined, now: number): LoginFailures | undefined {
  return failures && now < failures.until && failures.until - now <= FAILURE_TTL_MS ? failures : undefined
}

/** `failures` and one more. */
export function addFailure(failures: LoginFailures | undefined, now: number): LoginFailures {
  return { count: (failures?.count ?? 0) + 1, until: now + FAILURE_TTL_MS }
}

/** Whether the pair is locked. Takes the result of `unexpiredFailures`, because a lock ends when its failures expire. */
export function isLocked(ofPair: LoginFailures | undefined): boolean {
  return ofPair !== undefined && ofPair.count >= MAX_FAILURES
}

/**
 * The delay of a login with this username from any network, in milliseconds: none up to the number of failures that one network can cause,
 * then doubled by each failure up to 5 s. It is not a lock, because anyone who knows a username could lock its owner out.
 */
export function loginDelay(ofUser: LoginFailures | undefined): number {
  const excess = (ofUser?.count ?? 0) - MAX_FAILURES
  return excess <= 0 ? 0 : Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (excess - 1))
}
