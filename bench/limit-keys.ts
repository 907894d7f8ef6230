import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startUpstash } from '../dev/upstash/server.ts'
import { runWorker } from '../test/support/run-worker.ts'

/**
 * Measures the cost of a client that sends ever new keys, and of one busy key:
 * `node bench/limit-keys.ts [keys, default 1,000,000] [algorithms, separated by commas, default all]`. Fails when the limits of other keys do not hold.
 */
const keys = Number(process.argv[2] ?? 1_000_000)
const algorithms = (process.argv[3] ?? 'fixed-window,sliding-window,token-bucket').split(',')
const BATCH = 5_000

interface Outcome {
  readonly granted: number
  readonly failed: number
  readonly overflows: number
}

const upstash = await startUpstash()
const worker = await runWorker(join(import.meta.dirname, 'limit-keys-worker.ts'), {
  variables: { UPSTASH_URL: upstash.url, UPSTASH_TOKEN: upstash.token },
  durableObjects: [{ binding: 'LIMITS', className: 'LimitShard' }],
})

async function request(parts: Record<string, string | number>): Promise<Outcome> {
  const query = new URLSearchParams(Object.entries(parts).map(([name, value]) => [name, String(value)]))
  const response = await fetch(`${worker.url}/?${query}`)
  if (!response.ok) throw new Error(await response.text())
  return (await response.json()) as Outcome
}

const kilobytes = (text: string) => Number(/VmRSS:\s+(\d+)/.exec(text)?.[1])
const rss = (pid: number) => `${Math.round(kilobytes(readFileSync(`/proc/${pid}/status`, 'utf8')) / 1_024)} MB`
const files = (pid: number) => readdirSync(`/proc/${pid}/fd`)
async function redisMemory(): Promise<string> {
  const headers = { authorization: `Bearer ${upstash.token}`, 'content-type': 'application/json' }
  const send = async (...command: string[]) => {
    const response = await fetch(upstash.url, { method: 'POST', headers, body: JSON.stringify(command) })
    return ((await response.json()) as { result: unknown }).result
  }
  const used = /used_memory_human:(\S+)/.exec(String(await send('INFO', 'memory')))?.[1]
  return `${String(await send('DBSIZE'))} keys, ${used}`
}

async function rotateKeys(store: string, algorithm: string): Promise<void> {
  const victim = { store, algorithm, prefix: `${algorithm} victim`, want: 1 }
  const first = await request({ ...victim, takes: 2 })
  const startedAt = Date.now()
  const sum = { granted: 0, failed: 0, overflows: 0 }
  for (let from = 0; from < keys; from += BATCH) {
    const outcome = await request({
      store,
      algorithm,
      prefix: `${algorithm} `,
      from,
      keys: Math.min(BATCH, keys - from),
    })
    for (const name of ['granted', 'failed', 'overflows'] as const) sum[name] += outcome[name]
  }
  const seconds = (Date.now() - startedAt) / 1_000
  const rest = await request({ ...victim, takes: 10 })
  console.log(`${store} ${algorithm}: ${keys} keys in ${seconds.toFixed(0)} s, ${JSON.stringify(sum)}`)
  console.log(`  the other key: ${first.granted} before and ${rest.granted} after, of a limit of 3`)
  if (first.granted + rest.granted !== 3) process.exitCode = 1
}

async function measureOneKey(store: string, algorithm: string, want: number): Promise<void> {
  const takes = 5_000
  const startedAt = Date.now()
  const { granted, failed } = await request({ store, algorithm, prefix: `hot ${want}`, takes, want, limit: 1_000_000 })
  const perSecond = (count: number) => Math.round(count / ((Date.now() - startedAt) / 1_000))
  console.log(
    `${store} ${algorithm}, one key, want ${want}: ${perSecond(takes)} takes/s, ${perSecond(granted)} tokens/s, ${failed} failed`,
  )
}

try {
  const before = files(worker.pid).length
  for (const store of ['durable', 'upstash']) {
    for (const algorithm of algorithms) {
      await rotateKeys(store, algorithm)
      console.log(`  gateway ${rss(worker.pid)}, ${files(worker.pid).length} descriptors (${before} at the start)`)
      if (store === 'upstash') console.log(`  redis ${rss(upstash.redisPid)}: ${await redisMemory()}`)
    }
  }
  for (const store of ['durable', 'upstash'])
    for (const algorithm of algorithms) for (const want of [1, 50]) await measureOneKey(store, algorithm, want)
} finally {
  await worker.stop()
  await upstash.stop()
}
