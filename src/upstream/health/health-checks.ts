import type { Platform } from '../../core/platform.ts'
import { discardBody } from '../../lib/body.ts'
import {
  configureChecks,
  NO_ROUND,
  recordCheck,
  startRound,
  type CheckFailure,
  type Health,
  type HealthCheckState,
  type HealthSettings,
} from './health.ts'

/** The active health checks of one upstream, inside its breaker object. No call throws or rejects. */
export interface HealthChecks {
  /** Applies the settings of a report at once. `undefined`, from an isolate without `healthCheck`, changes nothing. */
  readonly configure: (settings: HealthSettings | undefined) => void
  /** The alarm of the object: runs one round of checks. */
  readonly alarm: () => Promise<void>
  /** The labels of unhealthy targets. Not for isolates whose own configuration has no `healthCheck`. */
  readonly unhealthy: () => string[]
  /** The health of each target, by its label. */
  readonly inspect: () => Readonly<Record<string, Health>>
}

type CheckPlatform = Pick<Platform, 'now' | 'random' | 'fetch'>

const KEY = 'health-v1'
/** The most connections that a Worker has open at once; one more check would wait for a connection while its timeout runs. */
const MAX_CONCURRENT = 6
/** A cached response says nothing of the target. A redirect is not followed, and is no 2xx. */
const REQUEST: RequestInit = {
  headers: { 'user-agent': 'umbral health check' },
  redirect: 'manual',
  cache: 'no-store',
}

/** Is told what happens in the checks. */
export interface HealthObserver {
  /** `error` was thrown in the call `method`. */
  readonly onError: (method: string, error: unknown) => void
  /** The health of the target `label` changed. */
  readonly onChange: (label: string, health: Health) => void
}

/** Makes the checks from the state in `storage`; the alarm of the object must call `alarm`. */
export function makeHealthChecks(
  storage: DurableObjectStorage,
  platform: CheckPlatform,
  { onError, onChange }: HealthObserver,
): HealthChecks {
  const { now, random, fetch } = platform
  let state = storage.kv.get<HealthCheckState>(KEY)

  const setState = (next: HealthCheckState) => {
    if (next === state) return
    storage.kv.put(KEY, next)
    // When the alarm cannot be set, the round becomes overdue, and the next report schedules another.
    if (next.dueAt !== state?.dueAt && next.dueAt !== NO_ROUND)
      void storage.setAlarm(next.dueAt).catch((error: unknown) => onError('setAlarm', error))
    state = next
  }
  const round = async () => {
    if (state === undefined) return
    // Stored before the checks: the schedule survives a crash during them, and changes by reports during them are not lost.
    setState(startRound(state, now(), random()))
    if (state.dueAt === NO_ROUND) return
    await checkAll(state.settings, fetch, (label, url, failure) => {
      const before = state!.targets[label]
      setState(recordCheck(state!, label, url, failure, now()))
      const after = state!.targets[label]
      if (before !== undefined && after !== undefined && before.state !== after.state) onChange(label, after)
    })
  }

  return {
    configure: (settings) => {
      try {
        if (settings) setState(configureChecks(state, settings, now()))
      } catch (error) {
        // The next report tries again.
        onError('configure', error)
      }
    },
    alarm: () => round().catch((error: unknown) => onError('alarm', error)),
    unhealthy: () =>
      Object.entries(state?.targets ?? {}).flatMap(([label, health]) => (health.state === 'unhealthy' ? label : [])),
    inspect: () => state?.targets ?? {},
  }
}

async function checkAll(
  { targets, timeout }: HealthSettings,
  fetch: CheckPlatform['fetch'],
  record: (label: string, url: string, failure: CheckFailure | undefined) => void,
): Promise<void> {
  const queue = Object.entries(targets).values()
  const checkQueued = async () => {
    for (const [label, url] of queue) record(label, url, await check(url, timeout, fetch))
  }
  await Promise.all(Array.from({ length: MAX_CONCURRENT }, checkQueued))
}

/** Checks one target. Undefined when it responds with 2xx within `timeout` milliseconds. */
async function check(url: string, timeout: number, fetch: CheckPlatform['fetch']): Promise<CheckFailure | undefined> {
  const controller = new AbortController()
  // Not AbortSignal.timeout: its timer would keep the object from hibernation after each quick response.
  const timer = setTimeout(() => controller.abort(), timeout)
  try {
    const response = await fetch(url, { ...REQUEST, signal: controller.signal })
    discardBody(response)
    return response.ok ? undefined : `status ${response.status}`
  } catch {
    // The result of the check: no connection, no response, or none in time. The target's health shows it.
    return controller.signal.aborted ? 'timeout' : 'unreachable'
  } finally {
    clearTimeout(timer)
  }
}
