/** What the latest answers took. */
export interface Latency {
  /** Counts an answer, in milliseconds. */
  readonly record: (ms: number) => void
  /** What 95 % of the latest answers took at most, in milliseconds; undefined until there are 20. */
  readonly p95: () => number | undefined
}

const SAMPLES = 256
const MIN_SAMPLES = 20
/** How many new answers make it worth sorting again. */
const STALE = 16

/**
 * A running 95th percentile: exact (nearest rank) over the latest 256 answers, and at most 16 answers old. What it misses is
 * chance alone: in 19 of 20 cases so few samples put it between the true 92nd and 98th percentile. A ring, because it forgets:
 * an origin that has become slower is known as such after 13 slow answers.
 */
export function makeLatency(): Latency {
  const ring = new Float64Array(SAMPLES)
  let count = 0
  let sortedAt = -Infinity
  let value = 0
  return {
    record: (ms) => {
      ring[count++ % SAMPLES] = ms
    },
    p95: () => {
      if (count < MIN_SAMPLES) return undefined
      if (count - sortedAt >= STALE) {
        const sorted = ring.slice(0, count).sort()
        value = sorted[Math.ceil(sorted.length * 0.95) - 1]!
        sortedAt = count
      }
      return value
    },
  }
}
