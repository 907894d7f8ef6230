/** What became of the requests to one cached route, in this isolate since its start, for metrics. */
export interface CacheTally {
  /** Answered from the store without asking the origin. */
  hits: number
  /** Of those, by an answer that was stale: it is being refreshed. */
  staleHits: number
  /** Answered from the store because the origin failed. */
  errorHits: number
  /** Answered from the store after the origin had confirmed it with a 304. */
  confirmed: number
  /** Went to the origin since nothing fit was stored, or it had to be asked again. */
  misses: number
  /** Of those, the ones that waited for another request's answer and got it. */
  collapsed: number
  /** Answers that were put into the store, or on their way into it. */
  stored: number
  /** Never looked anything up: unsafe methods, preconditions, callers without a tenant. */
  bypassed: number
  /** What hits would have made the origin send, as far as Content-Length tells. */
  bytesSaved: number
  /** Milliseconds that the origin took when it gave what hits were answered with. */
  originMsSaved: number
}

const known = new WeakMap<object, Map<string, CacheTally>>()

/** The tally of a site's route. */
export function cacheTally(platform: object, route: string): CacheTally {
  const tallies = known.get(platform) ?? new Map<string, CacheTally>()
  known.set(platform, tallies)
  const tally = tallies.get(route) ?? {
    hits: 0,
    staleHits: 0,
    errorHits: 0,
    confirmed: 0,
    misses: 0,
    collapsed: 0,
    stored: 0,
    bypassed: 0,
    bytesSaved: 0,
    originMsSaved: 0,
  }
  tallies.set(route, tally)
  return tally
}

/** The tallies of a site's cached routes that were compiled so far, by the route's id. */
export function cacheTallies(platform: object): Readonly<Record<string, CacheTally>> {
  return Object.fromEntries(known.get(platform) ?? [])
}
