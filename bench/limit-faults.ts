import { setTimeout as sleep } from 'node:timers/promises'
import type { Circumstances } from '../test/limits/checker/judge.ts'
import { examine, hammer, type Finding } from '../test/limits/checker/run.ts'
import { startLimitScene, type Limiter, type LimitScene, type StoreKind } from '../test/limits/checker/scene.ts'
import { ALGORITHMS } from '../test/limits/checker/table.ts'
import type { StoreFault } from '../test/support/faults.ts'
import { warm } from './limit-bounds.ts'
import { atMost, single, type Figure } from './statistics.ts'

const BEFORE_MS = 700
const FAULT_MS = 1_000
const AFTER_MS = 1_300

/** A fault that is injected into a scene under load, for a second. */
export interface Fault {
  readonly name: string
  readonly begin: (scene: LimitScene) => Promise<void> | void
  readonly end: (scene: LimitScene) => Promise<void> | void
  /** How often the store loses its counts. */
  readonly losses?: number
}

const signal = (name: NodeJS.Signals) => (scene: LimitScene) => void process.kill(scene.redis!.redisPid(), name)

const GATEWAY_KILLED: Fault = {
  name: 'kill -9 of a gateway',
  begin: ({ gateways }) => gateways[0]!.kill(),
  end: ({ gateways }) => gateways[0]!.restart(),
}

const BAD_REPLIES: readonly StoreFault[] = [
  'NOSCRIPT',
  'LOADING',
  'READONLY',
  'OOM',
  'a 401',
  'a 429',
  'HTML in a 200',
  'HTML in a 502',
]

/** The faults of each store. */
export const FAULTS: Readonly<Record<StoreKind, readonly Fault[]>> = {
  'durable-objects': [GATEWAY_KILLED],
  redis: [
    { name: 'kill -9 of Redis', begin: signal('SIGKILL'), end: ({ redis }) => redis!.restart(), losses: 1 },
    { name: 'SIGSTOP of Redis', begin: signal('SIGSTOP'), end: signal('SIGCONT') },
    GATEWAY_KILLED,
    ...BAD_REPLIES.map((fault) => ({
      name: `Redis replies ${fault}`,
      begin: ({ redis }: LimitScene) => redis!.setFault(fault),
      end: ({ redis }: LimitScene) => redis!.setFault(undefined),
    })),
  ],
}

/** Each algorithm, strict and leased, with each `onStoreError` that has a bound. */
export const FAULTY_LIMITERS: readonly Limiter[] = ALGORITHMS.flatMap((algorithm) =>
  (['strict', 'leased'] as const).flatMap((consistency) =>
    (['local', 'deny'] as const).map((onStoreError) => ({
      name: `${algorithm}-${consistency}-${onStoreError}`,
      algorithm,
      consistency,
      onStoreError,
      limit: 20,
      windowMs: 1_000,
      ...(algorithm === 'token-bucket' && { burst: 10 }),
    })),
  ),
)

/** Sends requests of four busy clients of each limiter while `fault` is injected. */
export async function runFault(scene: LimitScene, fault: Fault, limiters: readonly Limiter[]): Promise<Finding[]> {
  const pressure = { clients: 4, perSecond: 70, forMs: BEFORE_MS + FAULT_MS + AFTER_MS }
  const key = encodeURIComponent(fault.name)
  const runs = Promise.all(limiters.map((limiter) => hammer(scene, limiter, key, pressure)))
  await sleep(BEFORE_MS)
  await fault.begin(scene)
  await sleep(FAULT_MS)
  await fault.end(scene)
  const circumstances: Circumstances = { losses: fault.losses ?? 0 }
  return examine(scene, await runs, circumstances)
}

/** Measures every fault of every store. A figure sums all limiters; over-admission is that of the worst limiter. */
export async function measureFaults(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const store of Object.keys(FAULTS) as StoreKind[]) {
    const scene = await startLimitScene({ store, limiters: FAULTY_LIMITERS, gateways: store === 'redis' ? 2 : 1 })
    try {
      await warm(scene, FAULTY_LIMITERS, 50)
      for (const fault of FAULTS[store])
        figures.push(figureOf(`${store}, ${fault.name}`, await runFault(scene, fault, FAULTY_LIMITERS)))
    } finally {
      await scene.stop()
    }
  }
  return figures
}

function figureOf(name: string, findings: readonly Finding[]): Figure {
  const sum = (read: (finding: Finding) => number) => findings.reduce((all, finding) => all + read(finding), 0)
  const astray = sum(({ wrong, unadmitted, twice, decidedTwice, unlogged }) =>
    [unadmitted, twice, decidedTwice, unlogged].reduce((all, ids) => all + ids.length, wrong),
  )
  const counts = [`${sum(({ admitted }) => admitted)} admitted`, `${sum(({ blind }) => blind)} of them blind`]
  const over = Math.max(...findings.map((finding) => finding.over))
  return {
    name,
    value: single(over + astray),
    unit: 'above the bound or astray',
    target: atMost(0),
    note: [
      ...counts,
      `${sum(({ refused }) => refused)} refused, ${sum(({ unanswered }) => unanswered)} unanswered`,
    ].join(', '),
  }
}
