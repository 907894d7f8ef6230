import { distance, sleep, withTimeout } from './time.ts'

/** Keeps an isolate's replica of a feed up to date. Times are milliseconds. */
export interface ReplicaSync {
  /**
   * Whether the replica may be used: its last successful read started less than five seconds ago. From two seconds on it is read again in
   * `waitUntil`. A promise, of a quarter of a second at most, only when the replica is too old: after a start, an idle time, an outage.
   * Never rejects.
   */
  readonly isFresh: (now: number, waitUntil: WaitUntil) => boolean | Promise<boolean>
  /** Starts a read, unless one is under way or the last one failed less than half a second ago. */
  readonly refresh: (waitUntil: WaitUntil) => void
}

type WaitUntil = (work: Promise<unknown>) => void

/** From this age on the replica is read again in the background. */
const REFRESH_MS = 2_000
/** From this age on the replica is not used. */
const MAX_AGE_MS = 5_000
/** The timeout of one read. */
const READ_MS = 1_000
/** From a failure to the next read. */
const PAUSE_MS = 500
/** How long a request waits for a read. */
const WAIT_MS = 250
/** For so long after a failure no request waits. */
const FAILED_MS = 2_000
const POLL_MS = 5

/** Makes the sync of one replica. `read` brings the replica up to date; it gives false when it fails. */
export function makeReplicaSync(read: (waitUntil: WaitUntil) => Promise<boolean>, clock: () => number): ReplicaSync {
  let [readAt, failedAt] = [-Infinity, -Infinity]
  let reading: { readonly startedAt: number } | undefined
  // A read whose request was cancelled never ends: after its timeout it no longer counts.
  const isReading = () => reading !== undefined && distance(reading.startedAt, clock()) < READ_MS

  const run = async (waitUntil: WaitUntil) => {
    const current = { startedAt: clock() }
    reading = current
    const done = await withTimeout(READ_MS, () => read(waitUntil))
    if (current !== reading) return
    reading = undefined
    if (done) [readAt, failedAt] = [current.startedAt, -Infinity]
    else failedAt = clock()
  }
  const start = (waitUntil: WaitUntil) => {
    if (isReading() || distance(failedAt, clock()) < PAUSE_MS) return undefined
    const own = run(waitUntil)
    waitUntil(own)
    return own
  }
  const awaitRead = async (own: Promise<void> | undefined) => {
    if (own) await withTimeout(WAIT_MS, () => own)
    // The promise of another request must not be awaited, so its result is polled; the polls are counted, because the clock may stand still.
    else for (let polls = WAIT_MS / POLL_MS; polls > 0 && isReading(); polls--) await sleep(POLL_MS)
    if (distance(readAt, clock()) < MAX_AGE_MS) return true
    failedAt = clock()
    return false
  }

  return {
    refresh: (waitUntil) => void start(waitUntil),
    isFresh(now, waitUntil) {
      // The distance, because a clock may step back.
      const age = distance(readAt, now)
      const own = age < REFRESH_MS ? undefined : start(waitUntil)
      if (age < MAX_AGE_MS) return true
      return distance(failedAt, now) < FAILED_MS ? false : awaitRead(own)
    },
  }
}
