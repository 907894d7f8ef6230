import { parsePathPattern } from '../routing/path-pattern.ts'
import type { Complaint } from './complaint.ts'
import type { RouteConfig } from './routes-file.ts'
import { METHODS } from './scalars.ts'

/** Routes that no request can tell apart, and routes whose every request goes to others that name their methods. */
export function indistinguishableRoutes(routes: readonly RouteConfig[]): Complaint[] {
  const byConditions = new Map<string, number[]>()
  for (const [i, route] of routes.entries()) {
    for (const host of route.match.hosts ?? ['']) {
      const key = conditionsKey(route, host)
      byConditions.set(key, [...(byConditions.get(key) ?? []), i])
    }
  }
  const found = [...byConditions.values()]
    .filter((group) => group.length > 1)
    .flatMap((group) => conflictsIn(group, routes))
  return [...new Map(found.map((complaint) => [complaint.path[1], complaint])).values()]
}

/** Equal for routes that differ in their methods at most. */
function conditionsKey({ match }: RouteConfig, host: string): string {
  const pattern = parsePathPattern(match.path)
  if (typeof pattern === 'string') return match.path
  const shape = pattern.segments.map((segment) => (segment.kind === 'literal' ? segment.text : ':'))
  const sorted = (conditions: Readonly<Record<string, string>> = {}) =>
    Object.entries(conditions).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([shape, pattern.rest, host.toLowerCase(), sorted(match.headers), sorted(match.query)])
}

function conflictsIn(group: readonly number[], routes: readonly RouteConfig[]): Complaint[] {
  const owner = new Map<string, number>()
  const found: Complaint[] = []
  for (const i of group) {
    for (const method of routes[i]!.match.methods ?? ['any method']) {
      const earlier = owner.get(method)
      if (earlier === undefined) owner.set(method, i)
      else found.push(conflict(i, `the same requests (${method}) match routes[${earlier}] "${routes[earlier]!.id}"`))
    }
  }
  const any = owner.get('any method')
  const named = METHODS.every((method) => owner.has(method) || (method === 'HEAD' && owner.has('GET')))
  if (any !== undefined && named)
    found.push(conflict(any, 'nothing reaches this route: other routes name every method for the same requests'))
  return found
}

function conflict(route: number, message: string): Complaint {
  return { path: ['routes', route, 'match'], message }
}
