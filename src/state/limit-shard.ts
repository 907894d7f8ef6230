import { DurableObject } from 'cloudflare:workers'
import { type Count, takeFrom } from '../limits/count.ts'
import type { LimiterSpec, Verdict } from '../limits/limiter.ts'

/** One request's question to a shard; requests whose key finds no room are counted by the limiter's name. */
export interface ShardTake extends LimiterSpec {
  readonly key: string
  readonly cost: number
}

export interface ShardVerdict extends Verdict {
  /** Counted in the limiter's overflow bucket, because the shard has too many rows. */
  readonly overflowed: boolean
}

/** About 2 MB on disk, and a scan for expired rows of about 2 ms. */
const MAX_ROWS = 10_000

/** The least time between two scans for expired rows. */
const SWEEP_INTERVAL_MS = 60_000

/** A share of the strict limits: one row a key, counted on this object's clock. */
export class LimitShard extends DurableObject {
  /** Epoch milliseconds; tests replace these two. */
  now: () => number = Date.now
  maxRows = MAX_ROWS
  private rows = 0
  private sweepAt = Infinity
  private sweptAt = 0

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    const { sql } = ctx.storage
    // No index on ends_at: it would double what every take writes, for a scan that runs once a minute.
    sql.exec('CREATE TABLE IF NOT EXISTS windows (key TEXT PRIMARY KEY, ends_at INTEGER, used INTEGER) WITHOUT ROWID')
    this.rows = this.countRows()
    void ctx.blockConcurrencyWhile(async () => {
      this.sweepAt = (await ctx.storage.getAlarm()) ?? Infinity
    })
  }

  /** Takes `cost` when that much is left in the key's window. Undefined when the storage fails: an RPC method here never throws. */
  take(ask: ShardTake): ShardVerdict | undefined {
    try {
      const now = this.now()
      const found = this.find(ask.key)
      const overflowed = !found && !this.hasRoom(now)
      const key = overflowed ? overflowKey(ask) : ask.key
      return { ...this.count(key, overflowed ? this.find(key) : found, ask, now), overflowed }
    } catch {
      return undefined
    }
  }

  /** Deletes the rows of windows that have ended and of buckets that are full. */
  override alarm(): void {
    this.sweepAt = Infinity
    this.sweep(this.now())
    const { first } = this.ctx.storage.sql
      .exec<{ first: number | null }>('SELECT MIN(ends_at) AS first FROM windows')
      .one()
    if (first !== null) this.sweepSoon(first)
  }

  private count(key: string, found: Count | undefined, ask: ShardTake, now: number): Verdict {
    const count = found ?? { endsAt: 0, used: 0 }
    const verdict = takeFrom(count, ask, ask.cost, now)
    // A refusal changes nothing, so it writes nothing: hammering on a used-up limit stays cheap.
    if (verdict.allowed) this.save(key, count, found === undefined)
    return verdict
  }

  private find(key: string): Count | undefined {
    const query = 'SELECT ends_at AS endsAt, used FROM windows WHERE key = ?'
    return this.ctx.storage.sql.exec<{ endsAt: number; used: number }>(query, key).toArray()[0]
  }

  private save(key: string, row: Count, isNew: boolean): void {
    this.ctx.storage.sql.exec('INSERT OR REPLACE INTO windows VALUES (?, ?, ?)', key, row.endsAt, row.used)
    if (!isNew) return
    this.rows++
    this.sweepSoon(row.endsAt)
  }

  private sweepSoon(endsAt: number): void {
    const due = Math.max(this.now() + SWEEP_INTERVAL_MS, endsAt)
    if (due >= this.sweepAt) return
    this.sweepAt = due
    void this.ctx.storage.setAlarm(due)
  }

  private hasRoom(now: number): boolean {
    if (this.rows >= this.maxRows && Math.abs(now - this.sweptAt) >= 1_000) this.sweep(now)
    return this.rows < this.maxRows
  }

  private sweep(now: number): void {
    this.sweptAt = now
    this.ctx.storage.sql.exec('DELETE FROM windows WHERE ends_at <= ?', now)
    this.rows = this.countRows()
  }

  private countRows(): number {
    return this.ctx.storage.sql.exec<{ n: number }>('SELECT COUNT(*) AS n FROM windows').one().n
  }
}

/** A window's and a bucket's counts are of different kinds. */
function overflowKey({ name, windowMs, burst }: LimiterSpec): string {
  return `overflow:${name}:${windowMs}${burst === undefined ? '' : ':bucket'}`
}
