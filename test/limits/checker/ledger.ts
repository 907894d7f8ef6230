import type { Logged } from './judge.ts'

/** Request ids that should not be. */
export interface Discrepancies {
  /** At the origin without having been admitted by every limiter that was asked. */
  readonly unadmitted: readonly string[]
  /** At the origin more than once. */
  readonly twice: readonly string[]
  /** Decided more than once by one limiter. */
  readonly decidedTwice: readonly string[]
}

/** Joins what has reached the origin with what was decided, by request id; limiters in shadow mode have no say. */
export function join(decisions: readonly Logged[], arrived: readonly (string | undefined)[]): Discrepancies {
  const admitted = new Set<string>()
  const barred = new Set<string>()
  const decided = new Set<string>()
  const decidedTwice: string[] = []
  for (const { id, limiter, outcome, shadow } of decisions) {
    if (outcome === 'charged') continue
    if (decided.has(`${id} ${limiter}`)) decidedTwice.push(id)
    decided.add(`${id} ${limiter}`)
    if (!shadow) (outcome === 'admitted' ? admitted : barred).add(id)
  }
  const seen = new Set<string>()
  const [unadmitted, twice]: [string[], string[]] = [[], []]
  for (const id of arrived.map((each) => each ?? '')) {
    if (!admitted.has(id) || barred.has(id)) unadmitted.push(id)
    if (seen.has(id)) twice.push(id)
    seen.add(id)
  }
  return { unadmitted, twice, decidedTwice }
}
