import { crowd, pace, type Answer } from '../test/support/callers.ts'
import type { Entry } from '../test/support/ledger-origin-process.ts'
import { startScene, type Scene } from '../test/support/scene.ts'
import { atMost, single, type Figure } from './statistics.ts'

const BUDGET = { percent: 20, window: '10s', minPerSecond: 3 }
const OPEN_S = 2
const MAX_OPEN_S = 8
const BREAKER = { minimumRequests: 20, openDuration: `${OPEN_S}s`, maxOpenDuration: `${MAX_OPEN_S}s` }
const PACED = 200
const CALLERS = 64
/** How long after the breaker has opened a request may still be on its way, in milliseconds. */
const SETTLING_MS = 500

type Seen = Pick<Answer, 'status' | 'code' | 'at' | 'ms'> & { readonly retryAfterS: number }

const UPSTREAM = { timeout: '5s', retry: { attempts: 2, budget: BUDGET }, circuitBreaker: BREAKER }
const SETUP = { upstream: UPSTREAM, env: { LOG_LEVEL: 'error' } }

/** An origin that dies under load or before it, its callers meanwhile, and its return, by its own ledger. Dead is: it resets whatever it is sent, and writes it down. */
export async function measureDeadOrigin(seconds: number): Promise<Figure[]> {
  return [...(await measureDeadFromTheStart()), ...(await measureDeath(seconds))]
}

async function measureDeadFromTheStart(): Promise<Figure[]> {
  const scene = await startScene(SETUP)
  try {
    await scene.origins[0]!.behave({ kind: 'reset' })
    const startedAt = Date.now()
    const dead = await underFullLoad(scene, 2)
    return triesFigures('dead from the start', dead, scene.origins[0]!.ledger(), startedAt)
  } finally {
    await scene.stop()
  }
}

async function measureDeath(seconds: number): Promise<Figure[]> {
  const scene = await startScene(SETUP)
  const [origin] = scene.origins
  try {
    const startedAt = Date.now()
    const healthy = await pace(PACED, 5, () => see(scene))
    await origin!.behave({ kind: 'reset' })
    const loaded = await underFullLoad(scene, seconds)
    const refused = await pace(PACED, 5, () => see(scene))
    const dead = [...loaded, ...refused]
    const ledger = origin!.ledger()
    await origin!.behave({ kind: 'answer' })
    const backAt = Date.now()
    const after = await pace(PACED, MAX_OPEN_S + 2, () => see(scene))
    return [
      ...triesFigures('died under load', [...healthy, ...dead], ledger, startedAt),
      ...probeFigures(dead, ledger, backAt),
      ...refusalFigures(healthy, refused),
      ...recoveryFigures(refused, after, ledger.at(-1)!.at, backAt),
    ]
  } finally {
    await scene.stop()
  }
}

async function see({ call }: Scene): Promise<Seen> {
  const { status, code, at, ms, headers } = await call('/get')
  return { status, code, at, ms, retryAfterS: Number(headers['retry-after'] ?? 0) }
}

async function underFullLoad(scene: Scene, seconds: number): Promise<Seen[]> {
  const end = Date.now() + seconds * 1_000
  const lists = await crowd(CALLERS, CALLERS, async () => {
    const seen: Seen[] = []
    while (Date.now() < end) seen.push(await see(scene))
    return seen
  })
  return lists.flat()
}

const isRefusal = ({ code }: Seen) => code === 'circuit-open'

/** When the first caller heard that the circuit is open, epoch milliseconds. */
function openedAt(dead: readonly Seen[]): number {
  return Math.min(...dead.filter(isRefusal).map(({ at, ms }) => at + ms))
}

/** All from the beginning of the load until shortly after the breaker opened: what went well pays for retries as well. */
function triesFigures(name: string, answers: readonly Seen[], ledger: readonly Entry[], startedAt: number): Figure[] {
  const settled = openedAt(answers) + SETTLING_MS
  const requests = answers.filter((seen) => seen.at <= settled && !isRefusal(seen)).length
  const tries = ledger.filter(({ at }) => at <= settled).length
  const seconds = (openedAt(answers) - startedAt) / 1_000
  const target = atMost(Math.floor(1.2 * requests + BUDGET.minPerSecond * seconds))
  const note = `${requests} requests in ${seconds.toFixed(2)} s until the breaker opened`
  return [{ name: `${name}: tries`, value: single(tries), unit: '', target, note }]
}

function probeFigures(dead: readonly Seen[], ledger: readonly Entry[], backAt: number): Figure[] {
  const opened = openedAt(dead)
  const late = ledger.filter(({ at }) => at > opened + SETTLING_MS)
  const first = late.filter(({ attempt }) => attempt === '1').length
  const note = `${late.length} tries with their retries, of ${dead.filter(isRefusal).length} callers refused`
  const target = atMost(probesIn((backAt - opened) / 1_000))
  return [
    { name: 'requests that reached it later than 0.5 s after that', value: single(first), unit: '', target, note },
  ]
}

/** As many open times, each twice the one before, as end within `seconds`. */
function probesIn(seconds: number): number {
  let probes = 0
  for (let open = OPEN_S, end = OPEN_S; end <= seconds; end += open) {
    probes++
    open = Math.min(MAX_OPEN_S, open * 2)
  }
  return probes
}

function refusalFigures(healthy: readonly Seen[], refused: readonly Seen[]): Figure[] {
  const answer = middle(healthy)
  const note = `a healthy answer ${answer.toFixed(2)} ms`
  const value = single(middle(refused.filter(isRefusal)))
  return [{ name: `p50 of refusals at ${PACED}/s`, value, unit: 'ms', target: atMost(round(answer), ' ms'), note }]
}

function recoveryFigures(
  refused: readonly Seen[],
  after: readonly Seen[],
  lastProbeAt: number,
  backAt: number,
): Figure[] {
  const first = after.find(({ status }) => status === 200)
  const open = Math.max(...[...refused, ...after].filter(({ at }) => at > lastProbeAt).map((seen) => seen.retryAfterS))
  const value = single(first ? (first.at - backAt) / 1_000 : Infinity)
  return [{ name: 'first good answer after it was back', value, unit: 's', target: atMost(open + 1, ' s') }]
}

const middle = (answers: readonly Seen[]) => percentile(answers, 50)
const round = (ms: number) => Math.round(ms * 100) / 100

/** In milliseconds, of how long the answers took. */
export function percentile(answers: readonly Pick<Answer, 'ms'>[], percent: number): number {
  const sorted = answers.map(({ ms }) => ms).toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? NaN
}
