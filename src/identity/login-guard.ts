import { DurableObject } from 'cloudflare:workers'
import type { LoginVerdict } from './api.ts'

/** About 1 MB on disk, and a scan of about 2 ms. */
const MAX_ROWS = 10_000
const SWEEP_INTERVAL_MS = 60_000

/** A share of all failed logins: a row for each username and for each pair of username and network, both as hashes. `judge` never throws. */
export class LoginGuard extends DurableObject {
  /** Epoch milliseconds; tests replace these two. */
  now: () => number = Date.now
  maxRows = MAX_ROWS
  #rows: number

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    const { sql } = ctx.storage
    sql.exec('CREATE TABLE IF NOT EXISTS failures (key TEXT PRIMARY KEY, count INTEGER, until INTEGER) WITHOUT ROWID')
    this.#rows = this.#count()
  }

  /**
   * Judges one login whose password was looked at, and counts a failure. Only here does a login pass, one after the other: so logins sent side by side are
   * no more guesses than logins sent in a row, and many right ones at once do no harm. Undefined when the storage fails.
   */
  judge(user: string, pair: string, isRight: boolean): LoginVerdict | undefined {
    try {
      const now = this.now()
      const ofPair = this.#find(pair, now)
      const ofUser = this.#find(user, now)
      const delayMs = delayOf(ofUser)
      // What is locked guesses nothing: it costs the owner no delay, and ends although the guessing goes on.
      if (isLocked(ofPair)) return { passes: false, delayMs }
      if (!isRight) {
        this.#keep(pair, addFailure(ofPair, now), ofPair === undefined)
        this.#keep(user, addFailure(ofUser, now), ofUser === undefined)
      } else if (ofPair) this.#forget(pair)
      // What others failed is not forgiven with it: a guesser would profit from each login of the owner.
      return { passes: isRight, delayMs }
    } catch {
      return undefined
    }
  }

  /** Deletes what is forgotten. */
  override async alarm(): Promise<void> {
    this.ctx.storage.sql.exec('DELETE FROM failures WHERE until <= ?', this.now())
    this.#rows = this.#count()
    if (this.#rows > 0) await this.ctx.storage.setAlarm(this.now() + SWEEP_INTERVAL_MS)
  }

  #find(key: string, now: number): LoginFailures | undefined {
    const query = 'SELECT count, until FROM failures WHERE key = ?'
    return rememberedFailures(this.ctx.storage.sql.exec<{ count: number; until: number }>(query, key).toArray()[0], now)
  }

  #keep(key: string, { count, until }: LoginFailures, isNew: boolean): void {
    const { sql } = this.ctx.storage
    if (isNew && this.#rows >= this.maxRows) this.#makeRoom()
    sql.exec('INSERT OR REPLACE INTO failures VALUES (?, ?, ?)', key, count, until)
    if (!isNew) return
    if (this.#rows === 0) void this.ctx.storage.setAlarm(this.now() + FORGET_MS)
    this.#rows++
  }

  #forget(key: string): void {
    this.ctx.storage.sql.exec('DELETE FROM failures WHERE key = ?', key)
    this.#rows--
  }

  /**
   * The oldest tenth goes. To be forgotten in this way costs thousands of logins and gains ten guesses; to count everyone together when there is no room,
   * as limits do, would lock out people who have done nothing.
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

/** How often a login failed lately: of one username from one network, or of one username from anywhere. */
export interface LoginFailures {
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
export function rememberedFailures(failures: LoginFailures | undefined, now: number): LoginFailures | undefined {
  return failures && now < failures.until && failures.until - now <= FORGET_MS ? failures : undefined
}

/** One failure more. */
export function addFailure(failures: LoginFailures | undefined, now: number): LoginFailures {
  return { count: (failures?.count ?? 0) + 1, until: now + FORGET_MS }
}

/** Whether every password of this pair is wrong for now. Takes what `remembered` answers, since a lock ends when its failures are forgotten. */
export function isLocked(ofPair: LoginFailures | undefined): boolean {
  return ofPair !== undefined && ofPair.count >= MAX_FAILURES
}

/**
 * How long a login of this username waits, in milliseconds, wherever it comes from: nothing for as many failures as one network can cause, then twice
 * as long with each failure up to 5 s. Never a lock, for whoever knows a username could lock its owner out.
 */
export function delayOf(ofUser: LoginFailures | undefined): number {
  const beyond = (ofUser?.count ?? 0) - MAX_FAILURES
  return beyond <= 0 ? 0 : Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (beyond - 1))
}
