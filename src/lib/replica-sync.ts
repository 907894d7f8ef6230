import { withTimeout } from './time.ts'

/** Keeps an isolate's copy of something up with its store. Times are milliseconds. */
export interface ReplicaSync {
  /**
   * Whether the copy is believed: its last reading was begun less than five seconds ago. Reads again in `waitUntil` from two seconds on;
   * a promise, of a quarter of a second at most, only when the copy is too old: after a start, an idle time, an outage. Never rejects.
   */
  readonly isFresh: (now: number, waitUntil: WaitUntil) => boolean | Promise<boolean>
  /** Reads now, unless a reading is under way or the store has failed within half a second. */
  readonly refresh: (waitUntil: WaitUntil) => void
}

type WaitUntil = (work: Promise<unknown>) => void

/** From this age on the copy is read again, in the background. */
const REFRESH_MS = 2_000
/** No older copy is believed. */
const MAX_AGE_MS = 5_000
/** How long the store may take over all of a reading. */
const READ_MS = 1_000
/** From a failure to the next reading. */
const PAUSE_MS = 500
/** How long a request waits for a reading; none does for so long after a failure. */
const ANSWER_MS = 250
const FAILED_MS = 2_000
const POLL_MS = 5

/** `read` brings the copy up to date; false when it could not. */
export function makeReplicaSync(read: (waitUntil: WaitUntil) => Promise<boolean>, clock: () => number): ReplicaSync {
  let [readAt, failedAt] = [-Infinity, -Infinity]
  let reading: { readonly startedAt: number } | undefined
  // One whose request was dropped never ends: after its time it no longer counts.
  const isReading = () => reading !== undefined && since(reading.startedAt, clock()) < READ_MS

  const run = async (waitUntil: WaitUntil) => {
    const mine = { startedAt: clock() }
    reading = mine
    const done = await withTimeout(READ_MS, () => read(waitUntil))
    if (mine !== reading) return
    reading = undefined
    if (done) [readAt, failedAt] = [mine.startedAt, -Infinity]
    else failedAt = clock()
  }
  const start = (waitUntil: WaitUntil) => {
    if (isReading() || since(failedAt, clock()) < PAUSE_MS) return undefined
    const own = run(waitUntil)
    waitUntil(own)
    return own
  }
  const awaitRead = async (own: Promise<void> | undefined) => {
    if (own) await withTimeout(ANSWER_MS, () => own)
    // Another request's promise must not be awaited, so its result is watched for; counted, as the clock may stand still.
    else for (let polls = ANSWER_MS / POLL_MS; polls > 0 && isReading(); polls--) await pause()
    if (since(readAt, clock()) < MAX_AGE_MS) return true
    failedAt = clock()
    return false
  }

  return {
    refresh: (waitUntil) => void start(waitUntil),
    isFresh(now, waitUntil) {
      const age = since(readAt, now)
      const own = age < REFRESH_MS ? undefined : start(waitUntil)
      if (age < MAX_AGE_MS) return true
      return since(failedAt, now) < FAILED_MS ? false : awaitRead(own)
    },
  }
}

/** The distance, because a clock may step back. */
const since = (then: number, now: number) => Math.abs(now - then)
const pause = () => new Promise<void>((passed) => setTimeout(passed, POLL_MS))
