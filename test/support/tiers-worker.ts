import { makeTiers, type CachePlatform } from '../../src/cache/store/tiers.ts'

interface Env {
  readonly ORIGIN: string
  readonly UPSTASH_REDIS_REST_URL?: string
  readonly UPSTASH_REDIS_REST_TOKEN?: string
}

/** One for the isolate: the tiers know each other by their platform. */
let platform: CachePlatform | undefined

const KEEP_MS = 60_000

/**
 * The tiers alone, before the real origin: every answer is stored under its path, fresh or not. Says in `x-tier` where an answer came
 * from, in `x-read-ms` how long the tiers were asked. `/kept/<path>` says whether `path` is stored here or in Redis.
 */
export default {
  async fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
    platform ??= {
      now: Date.now,
      edgeCache: caches.default,
      variable: () => env.UPSTASH_REDIS_REST_URL,
      secret: () => env.UPSTASH_REDIS_REST_TOKEN,
    }
    const tiers = makeTiers(platform)
    const x = { waitUntil: (work: Promise<unknown>) => context.waitUntil(work) }
    const { pathname } = new URL(request.url)
    const asksOnly = pathname.startsWith('/kept')
    const key = asksOnly ? pathname.slice('/kept'.length) : pathname
    const started = Date.now()
    const found = await tiers.read(key, x)
    const told = { 'x-tier': found?.tier ?? 'none', 'x-read-ms': String(Date.now() - started) }
    if (asksOnly) {
      await found?.body?.cancel()
      return new Response(null, { headers: told })
    }
    if (found !== undefined) {
      const headers = new Headers([
        ...found.head.headers.map(([name, value]) => [name, value]),
        ...Object.entries(told),
      ])
      return new Response(found.body, { status: found.head.status, headers, encodeBody: 'manual' })
    }
    const init: RequestInit = { headers: { 'accept-encoding': 'gzip' }, encodeResponseBody: 'manual' }
    const response = await fetch(env.ORIGIN + key, init)
    const now = Date.now()
    const head = {
      v: 1,
      status: response.status,
      headers: [...response.headers],
      requestTime: started,
      responseTime: now,
      url: request.url,
      tags: [],
      keepUntil: now + KEEP_MS,
    } as const
    const { body } = tiers.write(key, { head, body: response.body }, x)
    const answer = new Response(body, response)
    for (const [name, value] of Object.entries(told)) answer.headers.set(name, value)
    return answer
  },
}
