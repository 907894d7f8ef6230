import type * as z from 'zod/mini'
import { expectedOneOf, valueText, type Diagnostic } from './schema/diagnostic.ts'
import { isLater } from './schema/scalars.ts'

type Issue = z.core.$ZodIssue
type RawIssue = z.core.$ZodRawIssue

/** The issues that a value which is not there at all can raise. */
const ABSENCE: ReadonlySet<string | undefined> = new Set(['invalid_type', 'invalid_value', 'invalid_union'])

/** How the message about something that is missing begins. */
export const REQUIRED = 'required'

/** Words for what a schema found wrong; undefined leaves the schema's own message. */
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

/** The issues of a failed parse (made with `reportInput`) as diagnostics; of a union only the branch that the input was probably meant for. */
export function diagnosticsOf(issues: readonly Issue[], at: Diagnostic['path'] = []): Diagnostic[] {
  return issues.flatMap((issue): Diagnostic[] => {
    const path = [...at, ...(issue.path as (string | number)[])]
    if (issue.code === 'unrecognized_keys') {
      return issue.message.split('\n').map((message, i) => ({ path: [...path, issue.keys[i]!], message }))
    }
    if (issue.code === 'invalid_union' && issue.errors.length > 0 && issue.message === 'Invalid input')
      return diagnosticsOf(likeliest(issue.errors), path)
    if (issue.code === 'invalid_key') return diagnosticsOf(issue.issues, path)
    const missing = ABSENCE.has(issue.code) && issue.input === undefined
    return [{ path, message: missing ? `${REQUIRED}: ${issue.message}` : issue.message }]
  })
}

/** The branch that got furthest: one that did not already fail on the type of the whole. */
function likeliest(branches: readonly (readonly Issue[])[]): readonly Issue[] {
  return (
    branches.find((issues) => issues.every((issue) => issue.path.length > 0 || issue.code === 'unrecognized_keys')) ??
    branches[0]!
  )
}

/** The keys that an object may have, and those that it will have once they are built. */
function namesOf(issue: RawIssue): [valid: string[], later: string[]] {
  const definition = (issue.inst as { _zod?: { def?: { shape?: Record<string, unknown> } } } | undefined)?._zod?.def
  const fields = Object.entries(definition?.shape ?? {})
  const names = (are: boolean) => fields.flatMap(([name, schema]) => (isLater(schema) === are ? [name] : []))
  return [names(false), names(true)]
}
