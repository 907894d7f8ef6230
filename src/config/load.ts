import * as z from 'zod/mini'
import type { Complaint } from './complaint.ts'
import { crossCheck } from './cross-check.ts'
import { mergeDefaults } from './defaults.ts'
import { complaintsOf, explainIssue, REQUIRED } from './explain.ts'
import { policiesConfig, routesFile, type Config } from './routes-file.ts'

/** A configuration, or everything that is wrong with it. */
export type Loaded = { readonly config: Config } | { readonly complaints: readonly Complaint[] }

const PARSING = { error: explainIssue, reportInput: true }

/** Checks a whole routes.json: its shape first, then what its parts say of each other. Reads nothing but `json`. */
export function loadConfig(json: unknown): Loaded {
  const ofDefaults = checkDefaults(json)
  if (ofDefaults.length > 0) return { complaints: ofDefaults }
  const parsed = z.safeParse(routesFile, mergeDefaults(json), PARSING)
  if (!parsed.success) return { complaints: complaintsOf(parsed.error.issues) }
  const { $schema: _schema, defaults: _defaults, tests: _tests, ...config } = parsed.data
  const complaints = crossCheck(config)
  return complaints.length > 0 ? { complaints } : { config }
}

/**
 * What is wrong in `defaults.policies` is said once and there, not in every route that inherits it. What is only missing may come from a route.
 */
function checkDefaults(json: unknown): Complaint[] {
  const defaults = (json as { defaults?: { policies?: unknown } } | null)?.defaults?.policies
  if (defaults === undefined) return []
  const parsed = z.safeParse(policiesConfig, defaults, PARSING)
  if (parsed.success) return []
  return complaintsOf(parsed.error.issues, ['defaults', 'policies']).filter(
    (complaint) => !complaint.message.startsWith(REQUIRED),
  )
}
