import type { Middleware } from '../core/pipeline.ts'
import { problem } from '../core/problem.ts'

/** Counts an upstream's requests that wait for response headers: retries and hedges of one request count once. */
export interface Waiting {
  count: number
}

/**
 * Refuses what comes while `max` requests wait for the upstream's response headers in this isolate, with 503 `overloaded`: an
 * upstream that gets slower then takes no more of the gateway's memory than that, and its callers learn at once.
 */
export function shed(max: number, waiting: Waiting): Middleware {
  return (next) => (x) => {
    if (waiting.count >= max) return Promise.resolve(problem('overloaded', { headers: { 'retry-after': '1' } }))
    // After `next`, so that nothing is taken when that throws. Its promise settles also when the client leaves.
    const answer = next(x)
    waiting.count++
    const leave = () => void waiting.count--
    answer.then(leave, leave)
    return answer
  }
}
