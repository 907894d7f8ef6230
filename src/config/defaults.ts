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

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
