import { crowd, type Answer } from './callers.ts'
import { startFaultProxy, type Faults } from './fault-proxy.ts'
import { startScene } from './scene.ts'

export interface PostResults {
  readonly answers: readonly Answer[]
  /** Resets that the network made meanwhile. */
  readonly resets: number
  /** Ids that reached the origins more than once. */
  readonly twice: readonly string[]
  /** Ids that were answered 2xx without having reached an origin. */
  readonly unrecorded: readonly string[]
}

/** Requests and answers are a few hundred bytes each: a connection carries some ten of them. */
const LONGEST = 4_000

/** Each connection is reset at a byte of its own, of its requests or of its answers; the same in every run. */
function resetSomewhere(connection: number): Faults {
  // The fractional parts of the multiples of the golden ratio spread evenly (Knuth, TAOCP 6.4).
  const fraction = (connection * 0.6180339887) % 1
  return {
    reset: { of: connection % 2 === 0 ? 'requests' : 'answers', afterBytes: Math.floor(fraction * LONGEST) },
  }
}

/** Everything that sends a request more than once, with as much budget as it could want. */
const UPSTREAM = {
  retry: { attempts: 3, budget: { percent: 100, minPerSecond: 1_000 } },
  hedge: { after: '1ms', max: 2 },
}

/** Sends `total` POSTs, each with an id of its own, to two origins behind a network that keeps resetting, through a gateway that may repeat what is safe. */
export async function postThroughResets(total: number): Promise<PostResults> {
  const proxies: Awaited<ReturnType<typeof startFaultProxy>>[] = []
  const scene = await startScene({
    origins: 2,
    upstream: UPSTREAM,
    targets: async (origins) => {
      for (const { url } of origins) proxies.push(await startFaultProxy(url, resetSomewhere))
      return proxies.map(({ url }) => url)
    },
    env: { LOG_LEVEL: 'error' },
  })
  try {
    const answers = await crowd(16, total, (nth) =>
      scene.call('/orders', { method: 'POST', headers: { 'x-id': String(nth) }, body: `order ${nth}` }),
    )
    const times = new Map<string, number>()
    for (const { id } of scene.origins.flatMap((origin) => origin.ledger())) times.set(id!, (times.get(id!) ?? 0) + 1)
    const resets = proxies.reduce((sum, proxy) => sum + proxy.seen().resets, 0)
    const twice = [...times].filter(([, count]) => count > 1).map(([id]) => id)
    const well = answers.flatMap(({ status }, nth) => (status >= 200 && status < 300 ? [String(nth)] : []))
    return { answers, resets, twice, unrecorded: well.filter((id) => !times.has(id)) }
  } finally {
    await scene.stop()
    await Promise.all(proxies.map((proxy) => proxy.stop()))
  }
}
