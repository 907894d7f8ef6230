import * as z from 'zod/mini'
import type { Diagnostic } from './schema/diagnostic.ts'
import { checkDefaults, crossCheck } from './cross-check.ts'
import { mergeDefaults, sayOnce } from './defaults.ts'
import { diagnosticsOf, explainIssue, REQUIRED } from './explain.ts'
import { policiesConfig, routesFile, type Config, type WrittenConfig } from './routes-file.ts'

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
  if (!parsed.success) return { diagnostics: sayOnce(diagnosticsOf(parsed.error.issues), ofDefaults, json) }
  const { $schema: _schema, defaults: _defaults, tests: _tests, ...config } = parsed.data
  const written = json as WrittenConfig
  const diagnostics = sayOnce(crossCheck(config, written), checkDefaults(config, written), written)
  return diagnostics.length > 0 ? { diagnostics } : { config }
}

/** What the schemas of the policies find in `defaults.policies`. */
function parseDefaults(json: unknown): Diagnostic[] {
  const defaults = (json as { defaults?: { policies?: unknown } } | null)?.defaults?.policies
  if (defaults === undefined) return []
  const parsed = z.safeParse(policiesConfig, defaults, PARSING)
  return parsed.success ? [] : diagnosticsOf(parsed.error.issues, ['defaults', 'policies'])
}
