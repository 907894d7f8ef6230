import { createHash } from 'node:crypto'
import type { Algorithm, LimitStore } from '../src/limits/limiter.ts'
import type { LimitShard } from '../src/limits/store/limit-shard.ts'
import { makeDurableStore } from '../src/limits/store/stores.ts'
import { makeUpstashStore } from '../src/limits/store/upstash-store.ts'

export { LimitShard } from '../src/limits/store/limit-shard.ts'

interface Env {
  readonly LIMITS: DurableObjectNamespace<LimitShard>
  readonly UPSTASH_URL: string
  readonly UPSTASH_TOKEN: string
}

const tally = { overflows: 0 }
const LOOPS = 32
const hashed = (key: string) => createHash('sha256').update(key).digest('hex')
let stores: Readonly<Record<string, LimitStore>> | undefined

/** `/?store=&algorithm=&prefix=&from=&keys=&takes=&want=&limit=` takes once for each of `keys` keys, or `takes` times in all; responds with the counts. */
export default {
  async fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
    const query = new URL(request.url).searchParams
    const number = (name: string, otherwise: number) => Number(query.get(name) ?? otherwise)
    stores ??= {
      durable: makeDurableStore(env.LIMITS, Date.now, tally, 10_000),
      upstash: makeUpstashStore(env.UPSTASH_URL, env.UPSTASH_TOKEN, Date.now, tally, 10_000),
    }
    const algorithm = (query.get('algorithm') ?? 'fixed-window') as Algorithm
    const spec = { name: 'flood', algorithm, limit: number('limit', 3), windowMs: 86_400_000 }
    const counter = stores[query.get('store') ?? 'durable']!.counter(spec)
    const keys = number('keys', 1)
    const takes = number('takes', keys)
    const want = number('want', 1)
    const before = tally.overflows
    let [next, granted, failed] = [0, 0, 0]
    const loop = async () => {
      while (next < takes) {
        const key = hashed(`${query.get('prefix')}${number('from', 0) + (next++ % keys)}`)
        const grant = await counter.take(key, { want, atLeast: 1 }, (work) => context.waitUntil(work))
        if (grant) granted += grant.granted
        else failed++
      }
    }
    await Promise.all(Array.from({ length: LOOPS }, loop))
    return Response.json({ granted, failed, overflows: tally.overflows - before })
  },
}
