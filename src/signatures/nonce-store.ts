import { DurableObject } from 'cloudflare:workers'
import { logObjectError } from '../telemetry/object-errors.ts'

/** About 10 MB on disk: at a lifetime of five minutes, more than 300 requests a second on each of the shards. */
const MAX_ROWS = 100_000
/** The least time between two scans for rows that have expired. */
const SWEEP_INTERVAL_MS = 60_000

/** A share of the nonces that were used: a row each, until no signature with it could be accepted any more. */
export class NonceStore extends DurableObject {
  /** Epoch milliseconds; tests replace these two. */
  now: () => number = Date.now
  maxRows = MAX_ROWS
  #rows = 0
  #sweepAt = Infinity
  #sweptAt = -Infinity

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    const { sql } = ctx.storage
    sql.exec('CREATE TABLE IF NOT EXISTS nonces (id TEXT PRIMARY KEY, ends_at INTEGER) WITHOUT ROWID')
    this.#rows = this.#count()
    void ctx.blockConcurrencyWhile(async () => {
      this.#sweepAt = (await ctx.storage.getAlarm()) ?? Infinity
    })
  }

  /**
   * Uses `id` up for at least `keepMs` milliseconds: true when it was unused. The response is sent after the write is on disk. Undefined when the
   * store is full or its storage fails. Never throws, as an RPC method must not.
   */
  use(id: string, keepMs: number): boolean | undefined {
    try {
      const now = this.now()
      // A row counts as long as it exists, also after its expiry: a clock that steps forward makes no nonce unused.
      if (this.#has(id)) return false
      if (!this.#hasRoom(now)) return undefined
      this.ctx.storage.sql.exec('INSERT INTO nonces VALUES (?, ?)', id, now + keepMs)
      this.#rows++
      this.#sweepSoon(now + keepMs)
      return true
    } catch (error) {
      logObjectError('NonceStore', 'use', error, this.env)
      return undefined
    }
  }

  /** Deletes what has expired. Throws when the storage fails: the runtime calls it again. */
  override alarm(): void {
    try {
      this.#sweepAt = Infinity
      this.#sweep(this.now())
      const query = 'SELECT MIN(ends_at) AS first FROM nonces'
      const { first } = this.ctx.storage.sql.exec<{ first: number | null }>(query).one()
      if (first !== null) this.#sweepSoon(first)
    } catch (error) {
      logObjectError('NonceStore', 'alarm', error, this.env)
      throw error
    }
  }

  #has(id: string): boolean {
    return this.ctx.storage.sql.exec('SELECT 1 FROM nonces WHERE id = ?', id).toArray().length > 0
  }

  #sweepSoon(endsAt: number): void {
    const now = this.now()
    const due = Math.max(now + SWEEP_INTERVAL_MS, endsAt)
    // An alarm that is overdue is lost: the runtime gives one up after some failures.
    const isLost = now >= this.#sweepAt + SWEEP_INTERVAL_MS
    if (due >= this.#sweepAt && !isLost) return
    this.#sweepAt = due
    const failed = (error: unknown) => logObjectError('NonceStore', 'setAlarm', error, this.env)
    void this.ctx.storage.setAlarm(due).catch(failed)
  }

  #hasRoom(now: number): boolean {
    if (this.#rows >= this.maxRows && Math.abs(now - this.#sweptAt) >= 1_000) this.#sweep(now)
    return this.#rows < this.maxRows
  }

  #sweep(now: number): void {
    this.#sweptAt = now
    this.ctx.storage.sql.exec('DELETE FROM nonces WHERE ends_at <= ?', now)
    this.#rows = this.#count()
  }

  #count(): number {
    return this.ctx.storage.sql.exec<{ n: number }>('SELECT COUNT(*) AS n FROM nonces').one().n
  }
}
