import { isStandardMethod, METHODS } from '../lib/http-method.ts'
import { bySpecificity, makeCandidates, type Candidate } from '../routing/conditions.ts'
import { parsePathPattern } from '../routing/path-pattern.ts'
import type { RouteConfig } from './routes-file.ts'
import type { Diagnostic } from './schema/diagnostic.ts'

/** A candidate of the router: a route at one path pattern and host. */
interface PlacedCandidate extends Candidate {
  /** The path pattern and host as text; equal for candidates that compete for the same requests. */
  readonly place: string
}

/** Diagnostics of pairs of routes that match the same requests with equal specificity, and of routes that other routes shadow completely. */
export function overlappingRoutes(routes: readonly RouteConfig[]): Diagnostic[] {
  const placed = routes.map(placeRoute)
  const places = Map.groupBy(placed.flat(), ({ place }) => place)
  const rivalsOf = (one: PlacedCandidate) => places.get(one.place)!.filter(({ route }) => route !== one.route)
  const nameOf = (i: number) => `routes[${i}] "${routes[i]!.id}"`

  return placed.flatMap((own, i) => {
    const path = ['routes', i, 'match']
    const equals = own.flatMap((one) =>
      rivalsOf(one).filter((rival) => matchesAllOf(rival, one) && matchesAllOf(one, rival)),
    )
    for (const twin of equals.filter(({ route }) => route < i)) {
      const shared = sharedMethod(routes[i]!, routes[twin.route]!)
      if (shared !== undefined) return [{ path, message: `the same requests (${shared}) match ${nameOf(twin.route)}` }]
    }
    const winners = own.flatMap((one) => winnersOver(one, rivalsOf(one)))
    if (own.length === 0 || winners.includes(undefined)) return []
    const names = [...new Set(winners)].map((winner) => nameOf(winner!))
    return [{ path, message: `nothing reaches this route: all of its requests go to ${names.join(', ')}` }]
  })
}

/** One candidate for each host; none for a path that does not parse. */
function placeRoute({ match }: RouteConfig, i: number): PlacedCandidate[] {
  const pattern = parsePathPattern(match.path)
  if (typeof pattern === 'string') return []
  const shape = pattern.segments.map((segment) => (segment.kind === 'literal' ? segment.text : ':'))
  return makeCandidates(i, [], match).map((candidate) => ({
    ...candidate,
    place: JSON.stringify([shape, pattern.rest, candidate.host ?? '']),
  }))
}

/** For each method of a candidate, the route that precedes it for every request; undefined where there is none. */
function winnersOver(one: PlacedCandidate, rivals: readonly PlacedCandidate[]): (number | undefined)[] {
  const earlier = rivals.filter((rival) => bySpecificity(rival, one) < 0 && matchesAllOf(rival, one))
  return [...(one.methods ?? METHODS)].map(
    (method) =>
      earlier.find(({ methods }) => (methods === undefined ? isStandardMethod(method) : methods.has(method)))?.route,
  )
}

/** Whether every request that matches the headers and query of `second` also matches those of `first`. */
function matchesAllOf(first: PlacedCandidate, second: PlacedCandidate): boolean {
  const holds = (all: Candidate['headers'], some: Candidate['headers']) =>
    some.every(([name, value]) => all.some((other) => other[0] === name && other[1] === value))
  return holds(second.headers, first.headers) && holds(second.query, first.query)
}

/** A method that both routes name; `any method` if neither names one. */
function sharedMethod(a: RouteConfig, b: RouteConfig): string | undefined {
  const [one, other] = [a, b].map(({ match }): readonly string[] => match.methods ?? ['any method'])
  return one!.find((method) => other!.includes(method))
}
