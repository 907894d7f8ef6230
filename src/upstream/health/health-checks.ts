import { discardBody } from '../../lib/body.ts'
import {
  type CheckFailure,
  type Health,
  type HealthSettings,
  beginCheck,
  applyCheckResult,
  updatePlan,
  NEVER_CHECKED,
  type HealthPlan,
} from './health.ts'

/** The active checks of one upstream, inside its object. Nothing here throws or rejects. */
export interface HealthChecks {
  /** To be called with each report: what is new takes effect at once. An isolate without `healthCheck` changes nothing. */
  readonly configure: (settings: HealthSettings | undefined) => void
  /** The object's alarm: one round of checks. */
  readonly alarm: () => Promise<void>
  /** The labels of unhealthy targets. Not for isolates whose own configuration has no `healthCheck`. */
  readonly unhealthy: () => string[]
  /** What is known of each target, by its label. */
  readonly inspect: () => Readonly<Record<string, Health>>
}

/** What tests replace: epoch milliseconds, uniform in [0, 1), and the network. */
export interface HealthCheckParts {
  readonly now: () => number
  readonly random: () => number
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
}

const KEY = 'health-v1'
/** Connections that a Worker may have open at once; one more would wait for its turn while its timeout runs. */
const AT_ONCE = 6
/** An answer out of a cache says nothing; a redirect, which is not followed, is no 2xx. */
const REQUEST: RequestInit = {
  headers: { 'user-agent': 'umbral health check' },
  redirect: 'manual',
  cache: 'no-store',
}

/** Makes the checks that go on where those of this `storage` stopped; the alarm of its object must call `alarm`. */
export function makeHealthChecks(storage: DurableObjectStorage, parts: HealthCheckParts): HealthChecks {
  const { now, random, fetch } = parts
  let plan = storage.kv.get<HealthPlan>(KEY)

  const keep = (next: HealthPlan) => {
    if (next === plan) return
    storage.kv.put(KEY, next)
    // A failure shows when the alarm does not come: the next report then sets another.
    if (next.dueAt !== plan?.dueAt && next.dueAt !== NEVER_CHECKED) void storage.setAlarm(next.dueAt).catch(() => {})
    plan = next
  }
  const round = async () => {
    if (plan === undefined) return
    // Set before it asks: a process that is killed meanwhile goes on, and what a report changes meanwhile is not undone.
    keep(beginCheck(plan, now(), random()))
    if (plan.dueAt === NEVER_CHECKED) return
    await askAll(plan.settings, fetch, (label, url, fault) => keep(updatePlan(plan!, label, url, fault, now())))
  }

  return {
    configure: (settings) => {
      try {
        if (settings) keep(applyCheckResult(plan, settings, now()))
      } catch {
        // The next report tries again.
      }
    },
    alarm: () => round().catch(() => {}),
    unhealthy: () =>
      Object.entries(plan?.targets ?? {}).flatMap(([label, { state }]) => (state === 'unhealthy' ? label : [])),
    inspect: () => plan?.targets ?? {},
  }
}

async function askAll(
  { targets, timeout }: HealthSettings,
  fetch: HealthCheckParts['fetch'],
  note: (label: string, url: string, fault: CheckFailure | undefined) => void,
): Promise<void> {
  const waiting = Object.entries(targets).values()
  const lane = async () => {
    for (const [label, url] of waiting) note(label, url, await ask(url, timeout, fetch))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
}

/** What is wrong with whoever answers at `url`, or does not within `timeout` milliseconds; undefined when nothing is. */
async function ask(url: string, timeout: number, fetch: HealthCheckParts['fetch']): Promise<CheckFailure | undefined> {
  const controller = new AbortController()
  // Not AbortSignal.timeout, whose timer would keep the object from its sleep after each quick answer.
  const timer = setTimeout(() => controller.abort(), timeout)
  try {
    const response = await fetch(url, { ...REQUEST, signal: controller.signal })
    discardBody(response)
    return response.ok ? undefined : `status ${response.status}`
  } catch {
    return controller.signal.aborted ? 'timeout' : 'unreachable'
  } finally {
    clearTimeout(timer)
  }
}
