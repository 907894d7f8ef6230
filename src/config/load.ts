import * as z from 'zod/mini'
import type { Complaint } from './schema/diagnostic.ts'
import { checkDefaults, crossCheck } from './cross-check.ts'
import { mergeDefaults, sayOnce } from './defaults.ts'
import { complaintsOf, explainIssue, REQUIRED } from './explain.ts'
import { policiesConfig, routesFile, type Config, type WrittenConfig } from './routes-file.ts'

/** A configuration, or everything that is wrong with it. */
export type Loaded = { readonly config: Config } | { readonly complaints: readonly Complaint[] }

const PARSING = { error: explainIssue, reportInput: true }

/** Checks a whole routes.json: its shape first, then what its parts say of each other. Reads nothing but `json`. */
export function loadConfig(json: unknown): Loaded {
  const ofDefaults = parseDefaults(json)
  // What is only missing may come from a route.
  const certain = ofDefaults.filter((complaint) => !complaint.message.startsWith(REQUIRED))
  if (certain.length > 0) return { complaints: certain }
  const parsed = z.safeParse(routesFile, mergeDefaults(json), PARSING)
  if (!parsed.success) return { complaints: sayOnce(complaintsOf(parsed.error.issues), ofDefaults, json) }
  const { $schema: _schema, defaults: _defaults, tests: _tests, ...config } = parsed.data
  const written = json as WrittenConfig
  const complaints = sayOnce(crossCheck(config, written), checkDefaults(config, written), written)
  return complaints.length > 0 ? { complaints } : { config }
}

/** What the schemas of the policies find in `defaults.policies`. */
function parseDefaults(json: unknown): Complaint[] {
  const defaults = (json as { defaults?: { policies?: unknown } } | null)?.defaults?.policies
  if (defaults === undefined) return []
  const parsed = z.safeParse(policiesConfig, defaults, PARSING)
  return parsed.success ? [] : complaintsOf(parsed.error.issues, ['defaults', 'policies'])
}
