import type { PurgeUpdate } from '../api.ts'
import type { CacheRedis } from '../store/cache-redis.ts'
import { FIRST_ROW, forgottenMode, purgeOf, rowOf, type PurgeOrder } from './purges.ts'

/** Rows of at most 2 KB that the store keeps; each of the oldest beyond them becomes a purge of everything up to its time, in `forgottenMode`. */
export const MAX_PURGES = 20_000
/** Rows in one response; after a full one there may be more. */
const PURGE_BATCH = 1_000

/** Keeps purges in a Durable Object's SQLite: one row for each, however often it is made, numbered by its time. */
export function makePurgeLog(sql: SqlStorage, now: () => number, maxRows: () => number) {
  sql.exec('CREATE TABLE IF NOT EXISTS purges (row TEXT PRIMARY KEY, at INTEGER NOT NULL)')
  sql.exec('CREATE INDEX IF NOT EXISTS purges_at ON purges (at)')
  const lastAt = () => sql.exec<{ at: number | null }>('SELECT MAX(at) AS at FROM purges').one().at
  const put = (row: string, at: number) => sql.exec('INSERT OR REPLACE INTO purges VALUES (?, ?)', row, at)

  const trim = () => {
    const over = sql.exec<{ n: number }>('SELECT COUNT(*) AS n FROM purges').one().n - maxRows()
    if (over <= 0) return
    for (const { row, at } of rows('SELECT row, at FROM purges ORDER BY at LIMIT ?', over)) {
      sql.exec('DELETE FROM purges WHERE row = ?', row)
      const floor = rowOf({ kind: 'all', value: '', mode: forgottenMode(purgeOf(row, at).mode) })
      sql.exec('INSERT INTO purges VALUES (?, ?) ON CONFLICT DO UPDATE SET at = MAX(at, excluded.at)', floor, at)
    }
  }
  const rows = (query: string, ...values: readonly number[]) =>
    sql.exec<{ row: string; at: number }>(query, ...values).toArray()

  /** Records orders, and returns the rows after `cursor`, including them. */
  return (cursor: number, orders: readonly PurgeOrder[]): PurgeUpdate => {
    let last = lastAt()
    if (last === null) put(FIRST_ROW, (last = now() - 1))
    // A clock that steps back must not hide a purge from isolates that have read later ones.
    for (const order of orders) put(rowOf(order), (last = Math.max(now(), last + 1)))
    if (orders.length > 0) trim()
    const query = 'SELECT row, at FROM purges WHERE at > ? ORDER BY at LIMIT ?'
    const found = rows(query, cursor > last ? 0 : cursor, PURGE_BATCH)
    return { purges: found.map(({ row, at }) => purgeOf(row, at)), last, more: found.length === PURGE_BATCH }
  }
}

/** Runs in the caller's transaction; throws when the storage does. */
export type PurgeLog = ReturnType<typeof makePurgeLog>

const KEY = 'umbral:purges'

/**
 * The same as the Durable Object's log, in one sorted set, so that Redis loses all or none of it. ARGV: cursor, batch, most rows, the
 * first row, the rows that purge everything in place of a removed one, then the orders.
 */
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2])
if not last then
  last = now - 1
  redis.call('ZADD', KEYS[1], last, ARGV[4])
end
for i = 7, #ARGV do
  last = math.max(now, last + 1)
  redis.call('ZADD', KEYS[1], last, ARGV[i])
end
local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[3])
if over > 0 then
  local gone = redis.call('ZPOPMIN', KEYS[1], over)
  for i = 1, #gone, 2 do
    local floor = ARGV[6]
    if string.sub(gone[i], 1, 5) == 'soft ' then floor = ARGV[5] end
    redis.call('ZADD', KEYS[1], 'GT', gone[i + 1], floor)
  end
end
local cursor = tonumber(ARGV[1])
if cursor > last then cursor = 0 end
local from = string.format('(%d', cursor)
return { last, redis.call('ZRANGEBYSCORE', KEYS[1], from, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2]) }
`
const SOFT_FLOOR = rowOf({ kind: 'all', value: '', mode: 'soft' })
const FLOOR = rowOf({ kind: 'all', value: '', mode: 'validate' })

/** Records orders, and returns the rows after `cursor`; undefined when Redis does not respond, or responds with something else. */
export async function askRedisPurges(
  redis: CacheRedis,
  cursor: number,
  orders: readonly PurgeOrder[],
  waitUntil: (work: Promise<unknown>) => void,
  maxRows = MAX_PURGES,
): Promise<PurgeUpdate | undefined> {
  const args = [cursor, PURGE_BATCH, maxRows, FIRST_ROW, SOFT_FLOOR, FLOOR, ...orders.map(rowOf)].map(String)
  const reply = await redis.ask((commands) => commands.eval<string[], unknown>(SCRIPT, [KEY], args), waitUntil)
  return parseNews(reply)
}

function parseNews(reply: unknown): PurgeUpdate | undefined {
  if (!Array.isArray(reply) || typeof reply[0] !== 'number' || !Array.isArray(reply[1])) return undefined
  const [last, found] = reply as [number, readonly unknown[]]
  const purges = found.flatMap((row, i) => (i % 2 === 0 ? [purgeOf(String(row), Number(found[i + 1]))] : []))
  if (!purges.every(({ at }) => Number.isFinite(at))) return undefined
  return { purges, last, more: purges.length === PURGE_BATCH }
}
