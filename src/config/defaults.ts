import { pathText, type Diagnostic } from './schema/diagnostic.ts'

type Json = Readonly<Record<string, unknown>>

/** A copy of a routes.json in which `defaults.policies` lies under every route's `policies`; whatever has another shape is left for the schema. */
export function mergeDefaults(json: unknown): unknown {
  if (!isObject(json) || !isObject(json.defaults) || !isObject(json.defaults.policies) || !Array.isArray(json.routes))
    return json
  const base = json.defaults.policies
  const routes = json.routes.map((route: unknown) =>
    isObject(route) && isObject(route.policies ?? {})
      ? { ...route, policies: merge(base, (route.policies ?? {}) as Json) }
      : route,
  )
  return { ...json, routes }
}

/** Objects merge deeply, arrays and scalars replace, null switches off. */
function merge(base: Json, over: Json): Json {
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key]
    merged[key] = isObject(below) && isObject(value) ? merge(below, value) : value
  }
  return merged
}

/**
 * The same diagnostics, except that those about values which routes inherit are said once, at `defaults`, where `ofDefaults` has them too.
 * What only some routes make wrong stays with those routes. `json` is the file as written.
 */
export function sayOnce(found: readonly Diagnostic[], ofDefaults: readonly Diagnostic[], json: unknown): Diagnostic[] {
  const twins = new Map(ofDefaults.map((diagnostic) => [pathText(diagnostic.path.slice(2)), diagnostic]))
  const atItsSource = found.map((diagnostic) => {
    const [routes, i, key, ...below] = diagnostic.path
    if (routes !== 'routes' || key !== 'policies') return diagnostic
    const twin = twins.get(pathText(below))
    const own = (json as { routes: { policies?: unknown }[] }).routes[i as number]!.policies
    return twin !== undefined && isInherited(own, below) ? twin : diagnostic
  })
  return [...new Set(atItsSource)]
}

/** Whether nothing in a route's own `policies` says what stands at `path` below them. */
function isInherited(own: unknown, path: Diagnostic['path']): boolean {
  let value = own
  for (const step of path) {
    if (!isObject(value)) break
    value = Object.hasOwn(value, step) ? value[step] : undefined
  }
  return value === undefined
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
