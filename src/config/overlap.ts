import { bySpecificity, makeCandidates, type Candidate } from '../routing/conditions.ts'
import { parsePathPattern } from '../routing/path-pattern.ts'
import type { RouteConfig } from './routes-file.ts'
import type { Diagnostic } from './schema/diagnostic.ts'
import { METHODS } from './schema/scalars.ts'

/** A route as it is found at one path and host. */
interface Placed extends Candidate {
  /** Equal for candidates that the router holds side by side. */
  readonly place: string
}

/** Routes that no request can tell apart, and routes whose every request goes to others. */
export function overlappingRoutes(routes: readonly RouteConfig[]): Diagnostic[] {
  const placed = routes.map(placeRoute)
  const places = Map.groupBy(placed.flat(), ({ place }) => place)
  const rivalsOf = (one: Placed) => places.get(one.place)!.filter(({ route }) => route !== one.route)
  const nameOf = (i: number) => `routes[${i}] "${routes[i]!.id}"`

  return placed.flatMap((own, i) => {
    const path = ['routes', i, 'match']
    const alike = own.flatMap((one) =>
      rivalsOf(one).filter((rival) => takesAllOf(rival, one) && takesAllOf(one, rival)),
    )
    for (const twin of alike.filter(({ route }) => route < i)) {
      const shared = sharedMethod(routes[i]!, routes[twin.route]!)
      if (shared !== undefined) return [{ path, message: `the same requests (${shared}) match ${nameOf(twin.route)}` }]
    }
    const winners = own.flatMap((one) => winnersOver(one, rivalsOf(one)))
    if (own.length === 0 || winners.includes(undefined)) return []
    const names = [...new Set(winners)].map((winner) => nameOf(winner!))
    return [{ path, message: `nothing reaches this route: all of its requests go to ${names.join(', ')}` }]
  })
}

/** One candidate for each host; none for a path that cannot be read. */
function placeRoute({ match }: RouteConfig, i: number): Placed[] {
  const pattern = parsePathPattern(match.path)
  if (typeof pattern === 'string') return []
  const shape = pattern.segments.map((segment) => (segment.kind === 'literal' ? segment.text : ':'))
  return makeCandidates(i, [], match).map((candidate) => ({
    ...candidate,
    place: JSON.stringify([shape, pattern.rest, candidate.host ?? '']),
  }))
}

/** For each method that a candidate answers, the route that is found before it whatever the request; undefined where there is none. */
function winnersOver(one: Placed, rivals: readonly Placed[]): (number | undefined)[] {
  const earlier = rivals.filter((rival) => bySpecificity(rival, one) < 0 && takesAllOf(rival, one))
  return [...(one.methods ?? METHODS)].map(
    (method) => earlier.find(({ methods }) => methods === undefined || methods.has(method))?.route,
  )
}

/** Whether every request that meets the second's headers and query meets the first's too. */
function takesAllOf(first: Placed, second: Placed): boolean {
  const holds = (all: Candidate['headers'], some: Candidate['headers']) =>
    some.every(([name, value]) => all.some((other) => other[0] === name && other[1] === value))
  return holds(second.headers, first.headers) && holds(second.query, first.query)
}

/** A method that both routes name, or that neither does. */
function sharedMethod(a: RouteConfig, b: RouteConfig): string | undefined {
  const [one, other] = [a, b].map(({ match }): readonly string[] => match.methods ?? ['any method'])
  return one!.find((method) => other!.includes(method))
}
