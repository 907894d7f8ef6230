import type { BalancingStrategy } from '../../src/upstream/balancing/two-choices.ts'
import type { Target } from '../../src/upstream/target.ts'
import { makeTestExchange } from './exchange.ts'

/** One request of the model. */
export interface Served {
  readonly target: Target
  readonly at: number
  readonly ms: number
}

/**
 * Requests that come evenly, `perSecond`, for `seconds`, to targets that take `msOf` milliseconds each and answer what `statusOf`
 * says: no network, no waiting, the clock is `clock.now`. Tries count as in flight until they are answered.
 */
export async function runModel(
  { choose, around }: BalancingStrategy,
  targets: readonly Target[],
  clock: { now: number },
  { perSecond, seconds, msOf, statusOf = () => 200 }: ModelLoad,
): Promise<Served[]> {
  const served: Served[] = []
  const pending: { at: number; answer: () => void }[] = []
  const x = makeTestExchange()
  const start = clock.now
  for (let i = 0; i < perSecond * seconds; i++) {
    const arrival = Math.floor(start + (i * 1_000) / perSecond)
    await answerUntil(arrival)
    clock.now = arrival
    const target = choose(targets, x, arrival)
    const ms = msOf(target, arrival)
    served.push({ target, at: arrival - start, ms })
    const { promise, resolve } = Promise.withResolvers<Response>()
    const handler = around?.(target)(() => promise) ?? (() => promise)
    target.inFlight++
    const response = new Response(null, { status: statusOf(target, arrival) })
    pending.push({ at: arrival + ms, answer: () => resolve(response) })
    pending.sort((a, b) => a.at - b.at)
    void handler(x).then(() => target.inFlight--)
  }
  await answerUntil(Infinity)
  return served

  async function answerUntil(time: number) {
    while (pending.length > 0 && pending[0]!.at <= time) {
      const { at, answer } = pending.shift()!
      clock.now = at
      answer()
      // Three turns of the microtask queue are what lies between an answer and its last observer.
      for (let turn = 0; turn < 5; turn++) await Promise.resolve()
    }
  }
}

export interface ModelLoad {
  readonly perSecond: number
  readonly seconds: number
  readonly msOf: (target: Target, now: number) => number
  readonly statusOf?: (target: Target, now: number) => number
}
