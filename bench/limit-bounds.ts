import type { Consistency } from '../test/limits/checker/bounds.ts'
import { examine, hammer, type Run } from '../test/limits/checker/run.ts'
import { startLimitScene, type Limiter, type LimitScene, type StoreKind } from '../test/limits/checker/scene.ts'
import { ALGORITHMS, placeOf, type Placed } from '../test/limits/checker/table.ts'
import { atLeast, atMost, single, spread, type Figure } from './statistics.ts'

/** The stores that are measured. */
export const STORES: readonly StoreKind[] = ['durable-objects', 'redis']
const GATEWAYS = 3

/** The number of busy clients of each algorithm, in turn: 16 to 64 in all. */
const CLIENTS = [6, 11, 21]
const RUN_MS = 2_500

/** A store that is too slow on a busy machine counts requests whose call has timed out. Such a run is repeated, this often at most. */
const SPARE_RUNS = 5

/** The demand is 1.5 to 3 times what the limits admit. */
const SIZES = {
  strict: { limit: 60, windowMs: 1_000, burst: 40, perSecond: 200 },
  leased: { limit: 300, windowMs: 1_000, burst: 100, perSecond: 500 },
  local: { limit: 40, windowMs: 1_000, burst: 30, perSecond: 250 },
} as const

/** One limiter of each algorithm in one consistency. */
export function limitersOf(consistency: Consistency, onStoreError: Limiter['onStoreError'] = 'deny'): Limiter[] {
  const { limit, windowMs, burst } = SIZES[consistency]
  return ALGORITHMS.map((algorithm) => ({
    name: `${consistency}-${algorithm}`,
    algorithm,
    limit,
    windowMs,
    consistency,
    ...(algorithm === 'token-bucket' && { burst }),
    ...(consistency !== 'local' && { onStoreError }),
  }))
}

/** Sends requests before a measurement, because first calls are slow: connections are opened and code is compiled. */
export async function warm(scene: LimitScene, limiters: readonly Limiter[], perSecond: number): Promise<void> {
  await Promise.all(limiters.map((limiter) => hammer(scene, limiter, 'warm', { clients: 6, perSecond, forMs: 1_500 })))
}

/** The findings of all runs in one consistency. */
export interface BoundsFound {
  readonly placed: readonly Placed[]
  /** The number of runs that were repeated because a store was too slow. Their over-admission still counts. */
  readonly again: number
}

/** `runs` of each algorithm in one consistency over each store, by 16 to 64 clients of 1 and of 3 gateways in turn. */
export async function measureBounds(consistency: Consistency, runs: number): Promise<BoundsFound> {
  const limiters = limitersOf(consistency)
  const { perSecond } = SIZES[consistency]
  const placed: Placed[] = []
  let again = 0
  for (const store of STORES) {
    const scene = await startLimitScene({ store, limiters, gateways: store === 'redis' ? GATEWAYS : 1 })
    try {
      await warm(scene, limiters, perSecond)
      const done: Run[][] = []
      for (let nth = 0, spare = SPARE_RUNS; nth < runs; nth++) {
        const key = `${nth}-${spare}`
        const gateways = nth % 2 === 0 ? scene.gateways.length : 1
        const pressure = { clients: CLIENTS[nth % CLIENTS.length]!, perSecond, forMs: RUN_MS, gateways }
        const set = await Promise.all(limiters.map((limiter) => hammer(scene, limiter, key, pressure)))
        done.push(set)
        const isDisturbed = set.some(({ sent }) => sent.some(({ status }) => status === 503))
        if (isDisturbed && spare > 0) {
          spare--
          nth--
          again++
        }
        process.stderr.write(`${store} ${consistency} ${nth + 1}/${runs}${isDisturbed ? ' (disturbed)' : ''}\n`)
      }
      for (const finding of await examine(scene, done.flat()))
        placed.push({ ...finding, place: placeOf(consistency, store) })
    } finally {
      await scene.stop()
    }
  }
  return { placed, again }
}

/** The runs that show whether refusals were needed: something was refused, and the store responded in time. */
const conclusive = (placed: readonly Placed[]) =>
  placed.filter(({ unanswered, refused }) => unanswered === 0 && refused > 0)

/** The figures that every consistency must meet. */
export function boundFigures({ placed, again }: BoundsFound): Figure[] {
  const count = (read: (finding: Placed) => number) => single(placed.reduce((sum, finding) => sum + read(finding), 0))
  const none = atMost(0)
  return [
    { name: 'runs', value: single(placed.length), unit: '', note: `${again} sets again: the store took above 100 ms` },
    {
      name: 'runs that were refused something',
      value: single(placed.filter(({ refused }) => refused > 0).length),
      unit: '',
      note: 'the others do not test the bound',
    },
    { name: 'admitted', value: count(({ admitted }) => admitted), unit: '' },
    {
      name: 'above the bound, at most',
      value: single(Math.max(...placed.map(({ over }) => over))),
      unit: '',
      target: none,
    },
    { name: 'spent after the lease', value: count(({ wrong }) => wrong), unit: '', target: none },
    { name: 'at the origin unadmitted', value: count(({ unadmitted }) => unadmitted.length), unit: '', target: none },
    { name: 'at the origin twice', value: count(({ twice }) => twice.length), unit: '', target: none },
    { name: 'decided twice', value: count(({ decidedTwice }) => decidedTwice.length), unit: '', target: none },
    { name: 'responded to and in no log', value: count(({ unlogged }) => unlogged.length), unit: '', target: none },
  ]
}

/** Requests refused although tokens were left, as a share of what could have been admitted: the median of the runs that reached their limit with the store in time. */
export function shortfallFigure(name: string, maxPercent: number, { placed }: BoundsFound): Figure {
  const shares = conclusive(placed).map(({ underShare }) => 100 * underShare)
  if (shares.length === 0)
    return { name, value: single(NaN), unit: '%', note: 'no run reached its limit with the store in time' }
  return { name, value: spread(shares), unit: '%', target: atMost(maxPercent, ' %'), note: `${shares.length} runs` }
}

const STEADY = { limit: 2_000, windowMs: 4_000, burst: 2_000 }
const STEADY_PER_SECOND = 400
const STEADY_MS = 8_000
/** Until the isolate has measured the rate and a whole window has passed. */
const SETTLING_MS = 4_500

/** Measures the share of requests without a call to the store, at an even rate of four fifths of the limit. */
export async function measureSteadyLeases(): Promise<Figure[]> {
  const limiters = limitersOf('leased').map((limiter) => ({
    ...limiter,
    ...STEADY,
    burst: limiter.algorithm === 'token-bucket' ? STEADY.burst : undefined,
  })) as Limiter[]
  const figures: Figure[] = []
  for (const store of STORES) {
    const scene = await startLimitScene({ store, limiters })
    try {
      for (const limiter of limiters) {
        const callsBefore = (await scene.redis?.asked()) ?? 0
        const pressure = { clients: 16, perSecond: STEADY_PER_SECOND, forMs: STEADY_MS }
        const { sent } = await hammer(scene, limiter, 'steady', pressure)
        const calls = ((await scene.redis?.asked()) ?? 0) - callsBefore
        const settled = sent.filter(({ at }) => at - sent[0]!.at > SETTLING_MS)
        const [finding] = await examine(scene, [{ limiter, sent: settled }])
        const share = (100 * finding!.leased) / settled.length
        figures.push({
          name: `${store}, ${limiter.algorithm}: without a round trip`,
          value: single(share),
          unit: '%',
          target: atLeast(95, ' %'),
          note: `${settled.length} requests, ${finding!.refused} refused${scene.redis ? `, ${calls} calls in all` : ''}`,
        })
      }
    } finally {
      await scene.stop()
    }
  }
  return figures
}
