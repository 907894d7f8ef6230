import { DurableObject } from 'cloudflare:workers'
import { algorithmOf, type Ask, type Grant, type LimiterSpec } from '../limits/limiter.ts'
import { type Count, takeFrom } from '../limits/windows.ts'

/** One request's question to a shard; requests whose key finds no room are counted by the limiter's name. */
export interface ShardTake {
  readonly key: string
  readonly spec: LimiterSpec
  readonly ask: Ask
}

export interface ShardGrant extends Grant {
  /** Counted in the limiter's overflow row, because the shard has too many rows. */
  readonly overflowed: boolean
}

/** About 2 MB on disk of windows and buckets, and a scan for expired rows of about 2 ms; a sliding window takes up to 16 KB more a row. */
const MAX_ROWS = 10_000

/** The least time between two scans for expired rows. */
const SWEEP_INTERVAL_MS = 60_000

interface Row extends Record<string, SqlStorageValue> {
  readonly endsAt: number
  readonly used: number
  /** The marks as 64-bit floats. */
  readonly marks: ArrayBuffer | null
}

/** A share of the limits: one row a key, counted on this object's clock. */
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
    // What was counted before there were sliding windows.
    sql.exec('DROP TABLE IF EXISTS windows')
    // No index on ends_at: it would double what every take writes, for a scan that runs once a minute.
    sql.exec(
      'CREATE TABLE IF NOT EXISTS counts (key TEXT PRIMARY KEY, ends_at INTEGER, used REAL, marks BLOB) WITHOUT ROWID',
    )
    this.rows = this.countRows()
    void ctx.blockConcurrencyWhile(async () => {
      this.sweepAt = (await ctx.storage.getAlarm()) ?? Infinity
    })
  }

  /** Takes what of `ask` the key has left. Undefined when the storage fails: an RPC method here never throws. */
  take({ key, spec, ask }: ShardTake): ShardGrant | undefined {
    try {
      const now = this.now()
      const own = `${algorithmOf(spec)[0]}:${key}`
      const found = this.find(own)
      const overflowed = !found && !this.hasRoom(now)
      if (!overflowed) return { ...this.count(own, found, spec, ask, now), overflowed }
      const shared = overflowKey(spec)
      return { ...this.count(shared, this.find(shared), spec, ask, now), overflowed }
    } catch {
      return undefined
    }
  }

  /** Deletes the rows of windows that have ended and of buckets that are full. */
  override alarm(): void {
    this.sweepAt = Infinity
    this.sweep(this.now())
    const { first } = this.ctx.storage.sql
      .exec<{ first: number | null }>('SELECT MIN(ends_at) AS first FROM counts')
      .one()
    if (first !== null) this.sweepSoon(first)
  }

  private count(key: string, found: Count | undefined, spec: LimiterSpec, ask: Ask, now: number): Grant {
    const count = found ?? { endsAt: 0, used: 0 }
    const grant = takeFrom(count, spec, ask, now)
    // A refusal changes nothing, so it writes nothing: hammering on a used-up limit stays cheap.
    if (grant.granted > 0) this.save(key, count, found === undefined)
    return grant
  }

  private find(key: string): Count | undefined {
    const query = 'SELECT ends_at AS endsAt, used, marks FROM counts WHERE key = ?'
    const [row] = this.ctx.storage.sql.exec<Row>(query, key).toArray()
    return row && { ...row, marks: row.marks ? Array.from(new Float64Array(row.marks)) : undefined }
  }

  private save(key: string, { endsAt, used, marks }: Count, isNew: boolean): void {
    const blob = marks ? new Float64Array(marks).buffer : null
    this.ctx.storage.sql.exec('INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?)', key, endsAt, used, blob)
    if (!isNew) return
    this.rows++
    this.sweepSoon(endsAt)
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
    this.ctx.storage.sql.exec('DELETE FROM counts WHERE ends_at <= ?', now)
    this.rows = this.countRows()
  }

  private countRows(): number {
    return this.ctx.storage.sql.exec<{ n: number }>('SELECT COUNT(*) AS n FROM counts').one().n
  }
}

/** A window's and a bucket's counts are of different kinds. */
function overflowKey(spec: LimiterSpec): string {
  return `overflow:${algorithmOf(spec)}:${spec.name}:${spec.windowMs}`
}
