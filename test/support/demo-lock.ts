import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const LOCK = '.build/demo.lock'
/** The lock of a test run that was killed is older than this, in milliseconds. */
const STALE_MS = 120_000

/**
 * Waits until no other test file runs `npm start`, because each run writes `.build/routes.txt`, which the wrangler of the other would bundle.
 * Returns the function that releases the lock.
 */
export async function lockDemo(): Promise<() => void> {
  mkdirSync('.build', { recursive: true })
  while (!claim()) await sleep(50)
  return () => rmSync(LOCK, { force: true })
}

function claim(): boolean {
  try {
    writeFileSync(LOCK, String(process.pid), { flag: 'wx' })
    return true
  } catch {
    const age = Date.now() - (statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Infinity)
    if (age > STALE_MS) rmSync(LOCK, { force: true })
    return false
  }
}
