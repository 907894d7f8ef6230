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
    headers: conditions.headers
      ? Object.entries(conditions.headers).map(([name, value]) => [name.toLowerCase(), value] as const)
      : NO_FIELDS,
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

/** The request that conditions are held against. */
export interface RoutedRequest {
  readonly request: Request
  /** The host that the client named; undefined takes the request's `Host`. */
  readonly host: string | undefined
  /** The lower-case header names in a CORS preflight's Access-Control-Request-Headers; undefined for every other request. */
  readonly announced: ReadonlySet<string> | undefined
}

/** Headers that a browser sends without announcing them: the CORS-safelisted ones, and those that a page cannot set (Fetch §2.2.2). */
const NEVER_ANNOUNCED =
  /^(?:accept(?:-charset|-encoding|-language)?|content-(?:language|length|type)|cookie|date|dnt|host|range|referer|user-agent|via|(?:proxy|sec)-.*)$/

/** Whether a request meets every condition but the method. A preflight meets a condition on a header when the request that it announces could. */
export function meetsConditions(candidate: Candidate, { request, host, announced }: RoutedRequest): boolean {
  if (candidate.host !== undefined && !hostMatches(candidate.host, host ?? request.headers.get('host') ?? ''))
    return false
  for (const [name, value] of candidate.headers) {
    if (announced && (announced.has(name) || NEVER_ANNOUNCED.test(name))) continue
    if (request.headers.get(name) !== value) return false
  }
  if (candidate.query.length === 0) return true
  const query = new URLSearchParams(rawSearch(request.url))
  return candidate.query.every(([name, value]) => query.get(name) === value)
}

function hostMatches(pattern: string, header: string): boolean {
  const host = header.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) && host.length >= pattern.length : host === pattern
}
