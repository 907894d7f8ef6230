import type * as z from 'zod/mini'
import { expectedOneOf, valueText, type Diagnostic } from './schema/diagnostic.ts'
import { isLater } from './schema/scalars.ts'

type Issue = z.core.$ZodIssue
type RawIssue = z.core.$ZodRawIssue

/** The codes of issues that an absent value can raise. */
const ABSENCE: ReadonlySet<string | undefined> = new Set(['invalid_type', 'invalid_value', 'invalid_union'])

/** The first word of a message about an absent value. */
export const REQUIRED = 'required'

/** The message for an issue of a schema; undefined leaves the schema's own message. */
export function explainIssue(issue: RawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${issue.expected}${issue.input === undefined ? '' : `, found ${valueText(issue.input)}`}`
    case 'unrecognized_keys':
      // One line a key: `diagnosticsOf` gives each its own path.
      return (issue.keys as string[]).map((key) => `unknown key; ${expectedOneOf(key, ...namesOf(issue))}`).join('\n')
    case 'invalid_value':
      return `expected ${(issue.values as unknown[]).map((value) => JSON.stringify(value)).join(' or ')}, found ${valueText(issue.input)}`
    case 'invalid_format':
      return issue.format === 'starts_with'
        ? `expected a text that begins with "${String(issue.prefix)}", found ${valueText(issue.input)}`
        : undefined
    case 'too_small':
      return `expected at least ${String(issue.minimum)}, found ${valueText(issue.input)}`
    case 'too_big':
      return `expected at most ${String(issue.maximum)}, found ${valueText(issue.input)}`
    default:
      return undefined
  }
}

/** The issues of a failed parse (made with `reportInput`) as diagnostics; of a union only those of the most likely branch. */
export function diagnosticsOf(issues: readonly Issue[], at: Diagnostic['path'] = []): Diagnostic[] {
  return issues.flatMap((issue): Diagnostic[] => {
    const path = [...at, ...(issue.path as (string | number)[])]
    if (issue.code === 'unrecognized_keys') {
      return issue.message.split('\n').map((message, i) => ({ path: [...path, issue.keys[i]!], message }))
    }
    if (issue.code === 'invalid_union' && issue.errors.length > 0 && issue.message === 'Invalid input')
      return diagnosticsOf(likeliestBranch(issue.errors), path)
    if (issue.code === 'invalid_key') return diagnosticsOf(issue.issues, path)
    const missing = ABSENCE.has(issue.code) && issue.input === undefined
    return [{ path, message: missing ? `${REQUIRED}: ${issue.message}` : issue.message }]
  })
}

/** The branch that did not fail on the type of the whole value; the first if there is none. */
function likeliestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] {
  return (
    branches.find((issues) => issues.every((issue) => issue.path.length > 0 || issue.code === 'unrecognized_keys')) ??
    branches[0]!
  )
}

/** The keys that an object may have, and those that are not supported yet. */
function namesOf(issue: RawIssue): [valid: string[], later: string[]] {
  const definition = (issue.inst as { _zod?: { def?: { shape?: Record<string, unknown> } } } | undefined)?._zod?.def
  const fields = Object.entries(definition?.shape ?? {})
  const names = (later: boolean) => fields.flatMap(([name, schema]) => (isLater(schema) === later ? [name] : []))
  return [names(false), names(true)]
}
