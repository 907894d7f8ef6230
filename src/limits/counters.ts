/** What became of the requests that one limiter was asked about, in this isolate since its start, for metrics. */
export interface LimiterTally {
  /** Requests that this limiter let pass, whatever those after it said; a limiter in shadow mode would have. */
  admitted: number
  /** Requests that it refused. */
  refused: number
  /** Requests that it would have refused, were it not in shadow mode. */
  shadowRefused: number
  /** Requests that its store did not answer, so that `onStoreError` did. */
  storeFailures: number
  /** Those of them that were let pass. */
  blind: number
  /** Requests without a value for a part of its key: they share one count. */
  missingKeys: number
  /** What answers cost above what could still be taken, in units of cost. */
  uncharged: number
}

const known = new WeakMap<object, Map<string, LimiterTally>>()

/** The tally of the limiter `name` of a platform: one, in however many routes it stands. */
export function limiterTally(platform: object, name: string): LimiterTally {
  const tallies = known.get(platform) ?? new Map<string, LimiterTally>()
  known.set(platform, tallies)
  const tally = tallies.get(name) ?? {
    admitted: 0,
    refused: 0,
    shadowRefused: 0,
    storeFailures: 0,
    blind: 0,
    missingKeys: 0,
    uncharged: 0,
  }
  tallies.set(name, tally)
  return tally
}

/** The tallies of a site's limiters that were compiled so far, by name. */
export function limiterTallies(platform: object): Readonly<Record<string, LimiterTally>> {
  return Object.fromEntries(known.get(platform) ?? [])
}
