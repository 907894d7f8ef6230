import { setTimeout as sleep } from 'node:timers/promises'
import { STORE_TIMEOUT_MS } from '../src/limits/limiter.ts'
import { hammer, type Run, type Sent } from '../test/limits/checker/run.ts'
import { startLimitScene, type Limiter, type LimitScene } from '../test/limits/checker/scene.ts'
import { warm } from './limit-bounds.ts'
import { atMost, single, spread, type Figure } from './statistics.ts'

const LIMITER: Limiter = {
  name: 'burst',
  algorithm: 'fixed-window',
  limit: 1_000_000,
  windowMs: 60_000,
  consistency: 'strict',
  onStoreError: 'local',
}
const CLIENTS = 32
const PER_SECOND = 400
const DOWN_AT_MS = 1_000
const DOWN_MS = 1_500
const RUN_MS = 5_000

/** The timeout of the store, and the rest of a request. */
const ONE_TIMEOUT = atMost(STORE_TIMEOUT_MS + 20, ' ms')
const NO_TIMEOUT = atMost(STORE_TIMEOUT_MS / 2, ' ms')

/** How Redis fails and recovers: after SIGKILL connections are refused; after SIGSTOP there is no reply. */
const ENDINGS = {
  'kill -9': ['SIGKILL', (scene: LimitScene) => scene.redis!.restart()],
  SIGSTOP: ['SIGSTOP', (scene: LimitScene) => void process.kill(scene.redis!.redisPid(), 'SIGCONT')],
} as const

/** Measures the durations of requests while Redis fails in a burst, and when the gateway uses it again. */
export async function measureKill(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const [name, [signal, restore]] of Object.entries(ENDINGS)) {
    const scene = await startLimitScene({ store: 'redis', limiters: [LIMITER] })
    try {
      await warm(scene, [LIMITER], PER_SECOND)
      const running = hammer(scene, LIMITER, 'k', { clients: CLIENTS, perSecond: PER_SECOND, forMs: RUN_MS })
      await sleep(DOWN_AT_MS)
      const downAt = Date.now()
      process.kill(scene.redis!.redisPid(), signal)
      await sleep(DOWN_MS)
      await restore(scene)
      const upAt = Date.now()
      figures.push(...figuresOf(name, scene, await running, { downAt, upAt }))
    } finally {
      await scene.stop()
    }
  }
  return figures
}

function figuresOf(name: string, scene: LimitScene, { sent }: Run, times: { downAt: number; upAt: number }): Figure[] {
  const { downAt, upAt } = times
  const decisions = scene.decisions()
  const blindIds = new Set(decisions.flatMap(({ blind, id }) => (blind ? [id] : [])))
  const endOf = ({ at, ms }: Sent) => at + ms
  const blind = sent.filter(({ id }) => blindIds.has(id)).toSorted((a, b) => endOf(a) - endOf(b))
  const third = blind[2]
  if (third === undefined) throw new Error(`${name}: the gateway has not detected that Redis is down`)
  const msOf = (requests: readonly Sent[]) => requests.map(({ ms }) => ms)
  const before = spread(msOf(sent.filter((one) => endOf(one) < downAt)))
  const inFlight = msOf(blind.filter(({ at }) => at <= endOf(third)))
  const later = msOf(blind.filter(({ at }) => at > endOf(third)))
  const backAt = Math.min(...decisions.flatMap(({ blind: isBlind, at }) => (isBlind || at < upAt ? [] : [at])))
  return [
    { name: `${name}: a request before`, value: before, unit: 'ms' },
    {
      name: `${name}: the ${inFlight.length} in flight, the longest`,
      value: single(Math.max(...inFlight)),
      unit: 'ms',
      target: ONE_TIMEOUT,
    },
    { name: `${name}: the ${later.length} after three failures`, value: spread(later), unit: 'ms' },
    { name: `${name}: of these the longest`, value: single(Math.max(...later)), unit: 'ms', target: NO_TIMEOUT },
    {
      name: `${name}: back on Redis`,
      value: single(backAt - upAt),
      unit: 'ms',
      target: atMost(2_000, ' ms'),
    },
  ]
}
