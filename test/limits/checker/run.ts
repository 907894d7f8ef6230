import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from '../../support/callers.ts'
import { judge, type Circumstances, type Judgement, type Logged } from './judge.ts'
import { join, type Discrepancies } from './ledger.ts'
import type { Limiter, LimitScene } from './scene.ts'

/** One request as its client saw it, by the id that it has in the log and in the ledger. */
export interface Sent extends Answer {
  readonly id: string
}

export interface Pressure {
  readonly clients: number
  /** In all; each client waits for its answers, and sends no more in one go because of it. */
  readonly perSecond: number
  readonly forMs: number
  /** How many of the gateways are asked, in turn. Default all. */
  readonly gateways?: number
}

/** What one limiter was asked about one key, by hot clients. */
export interface Run {
  readonly limiter: Limiter
  readonly sent: readonly Sent[]
}

/** Clients who all want the same key of `limiter`. */
export async function hammer(scene: LimitScene, limiter: Limiter, key: string, pressure: Pressure): Promise<Run> {
  const { clients, perSecond, forMs, gateways = scene.gateways.length } = pressure
  const gapMs = (1_000 * clients) / perSecond
  const sent: Sent[] = []
  const began = performance.now()
  const client = async (nth: number) => {
    const { call } = scene.gateways[nth % gateways]!
    let due = began + (gapMs * nth) / clients
    while (due < began + forMs) {
      await sleep(Math.max(0, due - performance.now()))
      sent.push(await send(call, `/${limiter.name}/${key}`))
      due = Math.max(due + gapMs, performance.now())
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, nth) => client(nth)))
  return { limiter, sent }
}

/** One request with an id that the gateway takes for its own (W3C Trace Context), and that the origin writes down. */
export async function send(call: LimitScene['gateways'][number]['call'], path: string): Promise<Sent> {
  const id = randomBytes(16).toString('hex')
  const traceparent = `00-${id}-${randomBytes(8).toString('hex')}-01`
  return { ...(await call(path, { headers: { traceparent, 'x-id': id } })), id }
}

/** A run by the log and by the ledger. */
export interface Finding extends Judgement, Discrepancies {
  readonly limiter: Limiter
  /** Answered by the gateway, and in no log. */
  readonly unlogged: readonly string[]
}

/** Judges runs by what was logged and what has reached the origin, once all of it is there. */
export async function examine(
  scene: LimitScene,
  runs: readonly Run[],
  circumstances: Circumstances = {},
): Promise<Finding[]> {
  const decisions = await completeLog(scene, runs)
  const arrived = Map.groupBy(scene.arrived(), (id) => id ?? '')
  const decided = Map.groupBy(decisions, ({ id }) => id)
  return runs.map(({ limiter, sent }) => {
    const own = sent.flatMap(({ id }) => decided.get(id) ?? [])
    const atOrigin = sent.flatMap(({ id }) => arrived.get(id) ?? [])
    const { onStoreError } = limiter
    return {
      limiter,
      ...judge(own, limiter, { ...(onStoreError && { onStoreError }), ...circumstances }),
      ...join(own, atOrigin),
      unlogged: sent.filter(({ id, status }) => status !== 0 && !decided.has(id)).map(({ id }) => id),
    }
  })
}

const LOG_TIMEOUT_MS = 5_000

/** What workerd has to say arrives a moment later. */
async function completeLog(scene: LimitScene, runs: readonly Run[]): Promise<Logged[]> {
  const deadline = Date.now() + LOG_TIMEOUT_MS
  for (;;) {
    const decisions = scene.decisions()
    const known = new Set(decisions.map(({ id }) => id))
    const isComplete = runs.every(({ sent }) => sent.every(({ id, status }) => status === 0 || known.has(id)))
    if (isComplete || Date.now() >= deadline) return decisions
    await sleep(50)
  }
}
