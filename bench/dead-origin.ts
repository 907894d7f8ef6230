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
/** How long after the breaker has opened a request may still be in flight, in milliseconds. */
const SETTLING_MS = 500

type Observed = Pick<Answer, 'status' | 'code' | 'at' | 'ms'> & { readonly retryAfterS: number }

const UPSTREAM = {
  timeout: '5s',
  retry: { attempts: 2, budget: BUDGET },
  circuitBreaker: BREAKER,
  tell: ['x-attempt'],
}
const SETUP = { upstream: UPSTREAM, env: { LOG_LEVEL: 'error' } }

/** Measures an origin that fails under load or before it, its callers meanwhile, and its recovery, by the origin's ledger. A dead origin records each request and resets its connection. */
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
    const healthy = await pace(PACED, 5, () => observe(scene))
    await origin!.behave({ kind: 'reset' })
    const loaded = await underFullLoad(scene, seconds)
    const refused = await pace(PACED, 5, () => observe(scene))
    const dead = [...loaded, ...refused]
    const ledger = origin!.ledger()
    await origin!.behave({ kind: 'answer' })
    const backAt = Date.now()
    const after = await pace(PACED, MAX_OPEN_S + 2, () => observe(scene))
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

async function observe({ call }: Scene): Promise<Observed> {
  const { status, code, at, ms, headers } = await call('/get')
  return { status, code, at, ms, retryAfterS: Number(headers['retry-after'] ?? 0) }
}

async function underFullLoad(scene: Scene, seconds: number): Promise<Observed[]> {
  const end = Date.now() + seconds * 1_000
  const lists = await crowd(CALLERS, CALLERS, async () => {
    const responses: Observed[] = []
    while (Date.now() < end) responses.push(await observe(scene))
    return responses
  })
  return lists.flat()
}

const isRefusal = ({ code }: Observed) => code === 'circuit-open'

/** When the first caller was refused because the breaker is open, epoch milliseconds. */
function openedAt(dead: readonly Observed[]): number {
  return Math.min(...dead.filter(isRefusal).map(({ at, ms }) => at + ms))
}

/** The tries from the beginning of the load until shortly after the breaker opened. Successful requests also add to the retry budget. */
function triesFigures(
  name: string,
  responses: readonly Observed[],
  ledger: readonly Entry[],
  startedAt: number,
): Figure[] {
  const settled = openedAt(responses) + SETTLING_MS
  const requests = responses.filter((response) => response.at <= settled && !isRefusal(response)).length
  const tries = ledger.filter(({ at }) => at <= settled).length
  const seconds = (openedAt(responses) - startedAt) / 1_000
  const target = atMost(Math.floor(1.2 * requests + BUDGET.minPerSecond * seconds))
  const note = `${requests} requests in ${seconds.toFixed(2)} s until the breaker opened`
  return [{ name: `${name}: tries`, value: single(tries), unit: '', target, note }]
}

function probeFigures(dead: readonly Observed[], ledger: readonly Entry[], backAt: number): Figure[] {
  const opened = openedAt(dead)
  const late = ledger.filter(({ at }) => at > opened + SETTLING_MS)
  const first = late.filter(({ attempt }) => attempt === '1').length
  const note = `${late.length} tries with their retries, of ${dead.filter(isRefusal).length} callers refused`
  const target = atMost(probesIn((backAt - opened) / 1_000))
  return [
    { name: 'requests that reached it later than 0.5 s after that', value: single(first), unit: '', target, note },
  ]
}

/** The number of open times that end within `seconds`; each is twice as long as the one before, up to the maximum. */
function probesIn(seconds: number): number {
  let probes = 0
  for (let open = OPEN_S, end = OPEN_S; end <= seconds; end += open) {
    probes++
    open = Math.min(MAX_OPEN_S, open * 2)
  }
  return probes
}

function refusalFigures(healthy: readonly Observed[], refused: readonly Observed[]): Figure[] {
  const healthyMs = median(healthy)
  const note = `a healthy response ${healthyMs.toFixed(2)} ms`
  const value = single(median(refused.filter(isRefusal)))
  return [{ name: `p50 of refusals at ${PACED}/s`, value, unit: 'ms', target: atMost(round(healthyMs), ' ms'), note }]
}

function recoveryFigures(
  refused: readonly Observed[],
  after: readonly Observed[],
  lastProbeAt: number,
  backAt: number,
): Figure[] {
  const first = after.find(({ status }) => status === 200)
  const open = Math.max(
    ...[...refused, ...after].filter(({ at }) => at > lastProbeAt).map(({ retryAfterS }) => retryAfterS),
  )
  const value = single(first ? (first.at - backAt) / 1_000 : Infinity)
  return [{ name: 'first 200 after it was back', value, unit: 's', target: atMost(open + 1, ' s') }]
}

const median = (responses: readonly Observed[]) => percentile(responses, 50)
const round = (ms: number) => Math.round(ms * 100) / 100

/** The percentile `percent` of the durations, in milliseconds. */
export function percentile(responses: readonly Pick<Answer, 'ms'>[], percent: number): number {
  const sorted = responses.map(({ ms }) => ms).toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? NaN
}
