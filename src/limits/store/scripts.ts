import { createHash } from 'node:crypto'
import { algorithmOf, type LimiterSpec, type TakeRequest } from '../limiter.ts'
import { fillMs, grainMs, markMs } from './windows.ts'

/** A script, and its SHA-1, under which Redis keeps it after its first run. */
export interface Script {
  readonly text: string
  readonly sha: string
}

/**
 * Keys are kept 1 s longer than they say anything, so that Redis' expiry decides nothing. With more rows alive than the cap, a key that
 * is new is counted by the limiter's overflow row (KEYS[3]); KEYS[2] counts rows by when they were last written, in this period and the
 * one before, which is at least how many are alive. A period is as long as a row lives, so each row counts once in one.
 */
const FRAME = `
local limit, window, want, atLeast = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local life, maxRows = tonumber(ARGV[5]), tonumber(ARGV[6])
local now = tonumber(ARGV[8])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function portion(left)
  local most = math.max(0, math.min(want, left))
  if most >= atLeast then return most end
  return 0
end
local function ended(endsAt, length)
  return now >= endsAt or endsAt - now > 2 * length
end
local period = math.floor(now / life)
local current, before = 0, 0
local function census()
  local at, n, last = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+) (%d+) (%d+)$')
  at = tonumber(at)
  if at == period then current, before = tonumber(n), tonumber(last)
  elseif at == period - 1 then before = tonumber(n) end
end
local key, overflowed = KEYS[1], 0
local row = redis.call('GET', key)
if not row then
  census()
  if current + before >= maxRows then
    key, overflowed = KEYS[3], 1
    row = redis.call('GET', key)
  end
end
local endsAt, used, rest = 0, 0, nil
if row then
  endsAt, used, rest = string.match(row, '^(%S+) (%S+) ?(.*)$')
  endsAt, used = tonumber(endsAt), tonumber(used)
end
local function keep(ends, amount, tail)
  if overflowed == 0 and (not row or math.floor((endsAt - life) / life) ~= period) then
    census()
    redis.call('SET', KEYS[2], string.format('%d %d %d', period, current + 1, before), 'PX', 2 * life + 1000)
  end
  local text = string.format('%d %.17g', ends, amount)
  if tail then text = text .. ' ' .. tail end
  redis.call('SET', key, text, 'PX', math.max(1, ends - now) + 1000)
end
`

const FIXED_WINDOW = `${FRAME}
if ended(endsAt, window) then endsAt, used, row = (math.floor(now / window) + 1) * window, 0, false end
local granted = portion(limit - used)
if granted > 0 then keep(endsAt, used + granted) end
return { granted, math.max(0, limit - used - granted), endsAt - now, now, overflowed }
`

const SLIDING_WINDOW = `${FRAME}
local grain = tonumber(ARGV[7])
local marks, sum = {}, 0
local known = cjson.decode(rest and rest ~= '' and rest or '[]')
for i = 1, #known, 2 do
  if known[i] > now and known[i] - now <= 2 * life then
    marks[#marks + 1] = known[i]
    marks[#marks + 1] = known[i + 1]
    sum = sum + known[i + 1]
  end
end
local granted = portion(limit - sum)
used = sum + granted
if granted > 0 then
  local spentBy = now
  if want > atLeast then spentBy = now + life - window - grain end
  local till = math.ceil((spentBy + window) / grain) * grain
  local at = #marks - 1
  while at > 0 and marks[at] > till do at = at - 2 end
  if at > 0 and marks[at] == till then marks[at + 1] = marks[at + 1] + granted
  else
    table.insert(marks, at + 2, till)
    table.insert(marks, at + 3, granted)
  end
  keep(now + life, used, cjson.encode(marks))
end
local wanted = math.max(1, atLeast)
if granted > 0 then wanted = limit - used + 1 end
local amount, freed, at = used + wanted - limit, 0, now
for i = 1, #marks, 2 do
  if freed >= amount then break end
  at = marks[i]
  freed = freed + marks[i + 1]
end
return { granted, math.max(0, limit - used), math.max(1, at - now), now, overflowed }
`

const TOKEN_BUCKET = `${FRAME}
local burst = tonumber(ARGV[7])
local perMs = limit / window
local at, missing = now, 0
if not ended(endsAt, life) then
  at = math.max(now, endsAt - life)
  missing = math.max(0, used - (at - (endsAt - life)) * perMs)
end
local granted = portion(math.floor(burst - missing + 1e-6))
missing = missing + granted
if granted > 0 then keep(at + life, missing) end
local remaining = math.max(0, math.floor(burst - missing + 1e-6))
local wanted = math.max(1, atLeast)
if granted > 0 then wanted = remaining + 1 end
return { granted, remaining, math.max(1, math.ceil((missing + wanted - burst - 5e-7) / perMs)), now, overflowed }
`

const named = (text: string): Script => ({ text, sha: createHash('sha1').update(text).digest('hex') })

const SCRIPTS = {
  'fixed-window': named(FIXED_WINDOW),
  'sliding-window': named(SLIDING_WINDOW),
  'token-bucket': named(TOKEN_BUCKET),
}

/** What one limiter asks Redis, for any of its keys: it decides as `takeFrom` does, at Redis' own time. */
export interface ScriptCall {
  readonly script: Script
  readonly keys: (key: string) => string[]
  /** `now` (epoch milliseconds) in place of Redis' time is for tests alone. */
  readonly args: (ask: TakeRequest, now?: number) => number[]
}

/** The question of a limiter, whose rows in Redis are at most `maxRows`. */
export function compileScriptCall(spec: LimiterSpec, maxRows: number): ScriptCall {
  const algorithm = algorithmOf(spec)
  const { name, limit, windowMs, burst = limit } = spec
  const [life, detail] = {
    'fixed-window': () => [windowMs, 0],
    'sliding-window': () => [markMs(spec, grainMs(spec)), grainMs(spec)],
    'token-bucket': () => [fillMs(spec), burst],
  }[algorithm]() as [number, number]
  // A row of one algorithm means nothing to another. The braces keep what one script asks for in one slot of a cluster.
  const prefix = `umbral:{${algorithm[0]}:${name}:${windowMs}}:`
  return {
    script: SCRIPTS[algorithm],
    keys: (key) => [prefix + key, `${prefix}rows`, `${prefix}overflow`],
    args: ({ want, atLeast }, now) => {
      const args = [limit, windowMs, want, atLeast, life, maxRows, detail]
      return now === undefined ? args : [...args, now]
    },
  }
}
