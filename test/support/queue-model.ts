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
 * Requests that come evenly, `perSecond`, for `seconds`, to targets that take `msOf` milliseconds each and respond with the
 * status of `statusOf`. There is no network and no waiting; the clock is `clock.now`. A try is in flight until its response.
 */
export async function runModel(
  { choose, middlewareFor }: BalancingStrategy,
  targets: readonly Target[],
  clock: { now: number },
  { perSecond, seconds, msOf, statusOf = () => 200 }: ModelLoad,
): Promise<Served[]> {
  const served: Served[] = []
  const pending: { at: number; respond: () => void }[] = []
  const x = makeTestExchange()
  const start = clock.now
  for (let i = 0; i < perSecond * seconds; i++) {
    const arrival = Math.floor(start + (i * 1_000) / perSecond)
    await respondUntil(arrival)
    clock.now = arrival
    const target = choose(targets, x, arrival)
    const ms = msOf(target, arrival)
    served.push({ target, at: arrival - start, ms })
    const { promise, resolve } = Promise.withResolvers<Response>()
    const handler = middlewareFor?.(target)(() => promise) ?? (() => promise)
    target.inFlight++
    const response = new Response(null, { status: statusOf(target, arrival) })
    pending.push({ at: arrival + ms, respond: () => resolve(response) })
    pending.sort((a, b) => a.at - b.at)
    void handler(x).then(() => target.inFlight--)
  }
  await respondUntil(Infinity)
  return served

  async function respondUntil(time: number) {
    while (pending.length > 0 && pending[0]!.at <= time) {
      const { at, respond } = pending.shift()!
      clock.now = at
      respond()
      // Three turns of the microtask queue are what lies between a response and its last observer.
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
