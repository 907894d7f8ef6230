import { DurableObject } from 'cloudflare:workers'
import { logObjectError } from '../../telemetry/object-errors.ts'
import {
  algorithmOf,
  type LimiterSpec,
  type ShardGrant,
  type ShardTake,
  type TakeGrant,
  type TakeRequest,
} from '../limiter.ts'
import { takeFrom, type WindowCount } from './windows.ts'
/** Of one limiter, so that a flood of keys at one leaves the others alone: about 3 MB on disk of windows and buckets, and a scan for expired rows of about 2 ms; a sliding window takes up to 16 KB more a row. */
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
  /** By limiter. */
  private rows = new Map<string, number>()
  private sweepAt = Infinity
  private sweptAt = 0

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    const { sql } = ctx.storage
    // No index on ends_at: it would double what every take writes, for a scan that runs once a minute.
    sql.exec(
      'CREATE TABLE IF NOT EXISTS takes (key TEXT PRIMARY KEY, limiter TEXT, ends_at INTEGER, used REAL, marks BLOB) WITHOUT ROWID',
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
      const limiter = limiterOf(spec)
      const found = this.find(own)
      const overflowed = !found && !this.hasRoom(limiter, now)
      if (!overflowed) return { ...this.count(own, found, spec, ask, now), overflowed }
      const shared = `overflow:${limiter}`
      return { ...this.count(shared, this.find(shared), spec, ask, now), overflowed }
    } catch (error) {
      logObjectError('LimitShard', 'take', error, this.env)
      return undefined
    }
  }

  /** Deletes the rows of windows that have ended and of buckets that are full. Throws when the storage fails: the runtime calls it again. */
  override alarm(): void {
    try {
      this.sweepAt = Infinity
      this.sweep(this.now())
      const query = 'SELECT MIN(ends_at) AS first FROM takes'
      const { first } = this.ctx.storage.sql.exec<{ first: number | null }>(query).one()
      if (first !== null) this.sweepSoon(first)
    } catch (error) {
      logObjectError('LimitShard', 'alarm', error, this.env)
      throw error
    }
  }

  private count(
    key: string,
    found: WindowCount | undefined,
    spec: LimiterSpec,
    ask: TakeRequest,
    now: number,
  ): TakeGrant {
    const count = found ?? { endsAt: 0, used: 0 }
    const grant = takeFrom(count, spec, ask, now)
    // A refusal changes nothing, so it writes nothing: hammering on a used-up limit stays cheap.
    if (grant.granted > 0) this.save(key, limiterOf(spec), count, found === undefined)
    return grant
  }

  private find(key: string): WindowCount | undefined {
    const query = 'SELECT ends_at AS endsAt, used, marks FROM takes WHERE key = ?'
    const [row] = this.ctx.storage.sql.exec<Row>(query, key).toArray()
    return row && { ...row, marks: row.marks ? Array.from(new Float64Array(row.marks)) : undefined }
  }

  private save(key: string, limiter: string, { endsAt, used, marks }: WindowCount, isNew: boolean): void {
    const blob = marks ? new Float64Array(marks).buffer : null
    this.ctx.storage.sql.exec('INSERT OR REPLACE INTO takes VALUES (?, ?, ?, ?, ?)', key, limiter, endsAt, used, blob)
    if (!isNew) return
    this.rows.set(limiter, this.rowsOf(limiter) + 1)
    this.sweepSoon(endsAt)
  }

  private sweepSoon(endsAt: number): void {
    const now = this.now()
    const due = Math.max(now + SWEEP_INTERVAL_MS, endsAt)
    // An alarm that is overdue is lost: the runtime gives one up after some failures.
    const isLost = now >= this.sweepAt + SWEEP_INTERVAL_MS
    if (due >= this.sweepAt && !isLost) return
    this.sweepAt = due
    const failed = (error: unknown) => logObjectError('LimitShard', 'setAlarm', error, this.env)
    void this.ctx.storage.setAlarm(due).catch(failed)
  }

  private hasRoom(limiter: string, now: number): boolean {
    if (this.rowsOf(limiter) >= this.maxRows && Math.abs(now - this.sweptAt) >= 1_000) this.sweep(now)
    return this.rowsOf(limiter) < this.maxRows
  }

  private rowsOf(limiter: string): number {
    return this.rows.get(limiter) ?? 0
  }

  private sweep(now: number): void {
    this.sweptAt = now
    this.ctx.storage.sql.exec('DELETE FROM takes WHERE ends_at <= ?', now)
    this.rows = this.countRows()
  }

  private countRows(): Map<string, number> {
    const query = 'SELECT limiter, COUNT(*) AS n FROM takes GROUP BY limiter'
    const counted = this.ctx.storage.sql.exec<{ limiter: string; n: number }>(query).toArray()
    return new Map(counted.map(({ limiter, n }) => [limiter, n]))
  }
}

/** A window's and a bucket's counts are of different kinds. */
function limiterOf(spec: LimiterSpec): string {
  return `${algorithmOf(spec)}:${spec.name}:${spec.windowMs}`
}
