import * as z from 'zod/mini'
import { checkDefaults, crossCheck } from './cross-check.ts'
import { diagnosticsOf, explainIssue, REQUIRED } from './explain.ts'
import { policiesConfig, routesFile, type Config, type WrittenConfig } from './routes-file.ts'
import { pathText, type Diagnostic } from './schema/diagnostic.ts'

/** A checked configuration, or all of its diagnostics. */
export type Loaded = { readonly config: Config } | { readonly diagnostics: readonly Diagnostic[] }

const PARSING = { error: explainIssue, reportInput: true }

/** Checks a whole routes.json: first by its schema, then the references and contradictions between its parts. Reads nothing but `json`. */
export function loadConfig(json: unknown): Loaded {
  const reserved = reservedKeys(json)
  if (reserved.length > 0) return { diagnostics: reserved }
  const ofDefaults = parseDefaults(json)
  // A value that is only absent may be set by a route.
  const certain = ofDefaults.filter((diagnostic) => !diagnostic.message.startsWith(REQUIRED))
  if (certain.length > 0) return { diagnostics: certain }
  const parsed = z.safeParse(routesFile, mergeDefaults(json), PARSING)
  if (!parsed.success) return { diagnostics: withoutRepeats(diagnosticsOf(parsed.error.issues), ofDefaults, json) }
  const { $schema: _schema, defaults: _defaults, tests: _tests, ...config } = parsed.data
  const written = json as WrittenConfig
  const diagnostics = withoutRepeats(crossCheck(config, written), checkDefaults(config, written), written)
  return diagnostics.length > 0 ? { diagnostics } : { config }
}

/** A diagnostic for each key `__proto__`: objects do not hold it as a member, so that its value would be dropped without a word. */
function reservedKeys(json: unknown, path: Diagnostic['path'] = []): Diagnostic[] {
  if (typeof json !== 'object' || json === null) return []
  const inArray = Array.isArray(json)
  return Object.entries(json).flatMap(([key, value]: [string, unknown]) => {
    const at = [...path, inArray ? Number(key) : key]
    return key === '__proto__' ? [{ path: at, message: 'cannot be a name' }] : reservedKeys(value, at)
  })
}

/** The diagnostics of the policies' schemas for `defaults.policies`. */
function parseDefaults(json: unknown): Diagnostic[] {
  const defaults = (json as { defaults?: { policies?: unknown } } | null)?.defaults?.policies
  if (defaults === undefined) return []
  const parsed = z.safeParse(policiesConfig, defaults, PARSING)
  return parsed.success ? [] : diagnosticsOf(parsed.error.issues, ['defaults', 'policies'])
}

type Json = Readonly<Record<string, unknown>>

/** A copy of a routes.json in which `defaults.policies` is merged under every route's `policies`. Values of another shape stay as they are, for the schema to report. */
function mergeDefaults(json: unknown): unknown {
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

/** Merges objects deeply; arrays, scalars and null replace. */
function merge(base: Json, over: Json): Json {
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key]
    merged[key] = isObject(below) && isObject(value) ? merge(below, value) : value
  }
  return merged
}

/**
 * The diagnostics without repeats: one about a value that a route inherits is replaced by the one at `defaults`, if `ofDefaults` has it.
 * A diagnostic that only some routes have stays with those routes. `json` is the file as written.
 */
function withoutRepeats(found: readonly Diagnostic[], ofDefaults: readonly Diagnostic[], json: unknown): Diagnostic[] {
  const defaultsByPath = new Map(ofDefaults.map((diagnostic) => [pathText(diagnostic.path.slice(2)), diagnostic]))
  const relocated = found.map((diagnostic) => {
    const [routes, i, key, ...below] = diagnostic.path
    if (routes !== 'routes' || key !== 'policies') return diagnostic
    const atDefaults = defaultsByPath.get(pathText(below))
    const own = (json as { routes: { policies?: unknown }[] }).routes[i as number]!.policies
    return atDefaults !== undefined && isInherited(own, below) ? atDefaults : diagnostic
  })
  return [...new Set(relocated)]
}

/** Whether a route's own `policies` have no value at `path`. */
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
