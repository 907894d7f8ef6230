import * as z from 'zod/mini'
import { checkDefaults, crossCheck } from './cross-check.ts'
import { diagnosticsOf, explainIssue, REQUIRED } from './explain.ts'
import { policiesConfig, routesFile, type Config, type WrittenConfig } from './routes-file.ts'
import { pathText, type Diagnostic } from './schema/diagnostic.ts'

/** A configuration, or everything that is wrong with it. */
export type Loaded = { readonly config: Config } | { readonly diagnostics: readonly Diagnostic[] }

const PARSING = { error: explainIssue, reportInput: true }

/** Checks a whole routes.json: its shape first, then what its parts say of each other. Reads nothing but `json`. */
export function loadConfig(json: unknown): Loaded {
  const ofDefaults = parseDefaults(json)
  // What is only missing may come from a route.
  const certain = ofDefaults.filter((diagnostic) => !diagnostic.message.startsWith(REQUIRED))
  if (certain.length > 0) return { diagnostics: certain }
  const parsed = z.safeParse(routesFile, mergeDefaults(json), PARSING)
  if (!parsed.success) return { diagnostics: withoutRepeats(diagnosticsOf(parsed.error.issues), ofDefaults, json) }
  const { $schema: _schema, defaults: _defaults, tests: _tests, ...config } = parsed.data
  const written = json as WrittenConfig
  const diagnostics = withoutRepeats(crossCheck(config, written), checkDefaults(config, written), written)
  return diagnostics.length > 0 ? { diagnostics } : { config }
}

/** What the schemas of the policies find in `defaults.policies`. */
function parseDefaults(json: unknown): Diagnostic[] {
  const defaults = (json as { defaults?: { policies?: unknown } } | null)?.defaults?.policies
  if (defaults === undefined) return []
  const parsed = z.safeParse(policiesConfig, defaults, PARSING)
  return parsed.success ? [] : diagnosticsOf(parsed.error.issues, ['defaults', 'policies'])
}

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
export function withoutRepeats(
  found: readonly Diagnostic[],
  ofDefaults: readonly Diagnostic[],
  json: unknown,
): Diagnostic[] {
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
