import { MAX_PURGES, PURGE_BATCH, type PurgeNews } from './purge-log.ts'
import { FIRST_ROW, purgeOf, rowOf, type PurgeOrder } from './purges.ts'
import type { CacheRedis } from '../store/cache-redis.ts'

const KEY = 'umbral:purges'

/**
 * The same as the Durable Object's log, in one sorted set, so that Redis loses all of it or nothing. ARGV: cursor, batch, most rows, the
 * first row, the rows that everything is purged by for a forgotten one, then the orders.
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

/** Takes orders, and answers with what came after `cursor`; undefined when Redis does not answer, or not with that. */
export async function askRedisPurges(
  redis: CacheRedis,
  cursor: number,
  orders: readonly PurgeOrder[],
  waitUntil: (work: Promise<unknown>) => void,
  maxRows = MAX_PURGES,
): Promise<PurgeNews | undefined> {
  const args = [cursor, PURGE_BATCH, maxRows, FIRST_ROW, SOFT_FLOOR, FLOOR, ...orders.map(rowOf)].map(String)
  const reply = await redis.ask((commands) => commands.eval<string[], unknown>(SCRIPT, [KEY], args), waitUntil)
  return parseNews(reply)
}

function parseNews(reply: unknown): PurgeNews | undefined {
  if (!Array.isArray(reply) || typeof reply[0] !== 'number' || !Array.isArray(reply[1])) return undefined
  const [last, found] = reply as [number, readonly unknown[]]
  const purges = found.flatMap((row, i) => (i % 2 === 0 ? [purgeOf(String(row), Number(found[i + 1]))] : []))
  if (!purges.every(({ at }) => Number.isFinite(at))) return undefined
  return { purges, last, more: purges.length === PURGE_BATCH }
}
