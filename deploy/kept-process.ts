import type { Workerd } from './workerd.ts'

/** A process that is started again when it ends. */
export interface KeptProcess {
  /** The process that runs now; undefined while it is being started again. */
  readonly current: () => Workerd | undefined
  /** Lets it finish and starts it no more. */
  readonly stop: () => Promise<void>
}

/** A process that ends is started again at once. One that has ended so often in a row within `STEADY_MS` is started after a pause, which doubles. */
const MAX_QUICK_ENDS = 10
const STEADY_MS = 5_000
const MAX_PAUSE_MS = 5_000

/**
 * Starts a process by `start`, and again whenever it ends. Rejects when the first start fails. `log` receives a line each time that it ends, and each
 * time that it cannot be started.
 */
export async function keepRunning(
  name: string,
  start: () => Promise<Workerd>,
  log: (line: string) => void,
): Promise<KeptProcess> {
  let current: Workerd | undefined = await start()
  let isStopping = false
  let wake = () => {}
  let quickEnds = 0

  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  const startAgain = async () => {
    if (quickEnds > MAX_QUICK_ENDS) await pause(Math.min(MAX_PAUSE_MS, 100 * 2 ** (quickEnds - MAX_QUICK_ENDS)))
    if (isStopping) return
    try {
      current = await start()
    } catch (error) {
      quickEnds++
      log(`${name} could not be started: ${(error as Error).message}`)
    }
  }
  const keep = async () => {
    while (!isStopping) {
      const startedAt = Date.now()
      const end = await current?.ended
      current = undefined
      if (isStopping) return
      if (end !== undefined) {
        quickEnds = Date.now() - startedAt >= STEADY_MS ? 0 : quickEnds + 1
        log(`${name} ended (${end}) and is started again`)
      }
      await startAgain()
    }
  }
  const kept = keep()
  return {
    current: () => current,
    stop: async () => {
      isStopping = true
      wake()
      await current?.stop()
      await kept
      // One that was being started when `stop` was called.
      await current?.stop()
    },
  }
}
