import { rawSearch } from '../lib/canonical-path.ts'

/** The conditions of a route on a request besides its path. */
export interface Conditions {
  readonly methods?: readonly string[] | undefined
  readonly hosts?: readonly string[] | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly query?: Readonly<Record<string, string>> | undefined
}

/** One way to reach a route: its conditions with at most one host, so that candidates can be ordered. */
export interface Candidate {
  /** The route's index in the file. */
  readonly route: number
  readonly params: readonly string[]
  readonly methods: ReadonlySet<string> | undefined
  readonly host: string | undefined
  readonly headers: readonly (readonly [string, string])[]
  readonly query: readonly (readonly [string, string])[]
}

const NO_FIELDS: Candidate['headers'] = []

// Most routes name one of a few lists: with one set for each, a lookup among thousands finds it in the processor's cache.
const methodSets = new Map<string, ReadonlySet<string>>()

/** HEAD follows GET (RFC 9110 §9.3.2) unless a route of its own names it: see `bySpecificity`. */
function methodSet(methods: readonly string[]): ReadonlySet<string> {
  const key = methods.join()
  const set = methodSets.get(key) ?? new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods)
  methodSets.set(key, set)
  return set
}

/** One candidate for each host that the route names, or one for none. */
export function makeCandidates(route: number, params: readonly string[], conditions: Conditions): Candidate[] {
  const methods = conditions.methods && methodSet(conditions.methods)
  return (conditions.hosts ?? [undefined]).map((host) => ({
    route,
    params,
    methods,
    host: host?.toLowerCase(),
    headers: conditions.headers ? Object.entries(conditions.headers) : NO_FIELDS,
    query: conditions.query ? Object.entries(conditions.query) : NO_FIELDS,
  }))
}

/** Orders the candidates of one path: exact host, wildcard host, none; method named; HEAD without GET; more headers; more query fields; file order. */
export function bySpecificity(a: Candidate, b: Candidate): number {
  return (
    hostRank(b.host) - hostRank(a.host) ||
    Number(b.methods !== undefined) - Number(a.methods !== undefined) ||
    Number(a.methods?.has('GET') ?? false) - Number(b.methods?.has('GET') ?? false) ||
    b.headers.length - a.headers.length ||
    b.query.length - a.query.length ||
    a.route - b.route
  )
}

function hostRank(host: string | undefined): number {
  if (host === undefined) return 0
  return host.startsWith('*.') ? 1 + host.length / 1000 : 2
}

/** Whether a request meets every condition but the method. */
export function meetsConditions(candidate: Candidate, request: Request): boolean {
  if (candidate.host !== undefined && !hostMatches(candidate.host, request.headers.get('host') ?? '')) return false
  if (candidate.headers.some(([name, value]) => request.headers.get(name) !== value)) return false
  if (candidate.query.length === 0) return true
  const query = new URLSearchParams(rawSearch(request.url))
  return candidate.query.every(([name, value]) => query.get(name) === value)
}

function hostMatches(pattern: string, header: string): boolean {
  const host = header.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) && host.length >= pattern.length : host === pattern
}
