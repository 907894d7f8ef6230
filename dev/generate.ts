import './worker-modules.ts'
import { readFileSync, writeFileSync } from 'node:fs'
import * as z from 'zod/mini'
import * as prettier from 'prettier'

/**
 * Writes what is generated from the sources: routes.schema.json (editor completion), and the parts between marks in docs/.
 * `npm run generate [-- --check]`; with `--check` nothing is written and the exit code is 1 when a file is out of date.
 */
const { routesFile } = await import('../src/config/routes-file.ts')
const { PROBLEMS } = await import('../src/core/problem.ts')
const { policies } = await import('../src/policies/index.ts')
const { EVENTS } = await import('../src/telemetry/events.ts')
const { AUTH_PROVIDERS } = await import('../src/auth/config/auth-provider.ts')
const { upstream } = await import('../src/upstream/config.ts')

interface JsonSchema {
  readonly description?: string
  readonly type?: string
  readonly default?: unknown
  readonly items?: JsonSchema
  readonly oneOf?: readonly JsonSchema[]
  readonly anyOf?: readonly JsonSchema[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
}

const check = process.argv.includes('--check')
let stale = false

await generate('routes.schema.json', () =>
  JSON.stringify(z.toJSONSchema(routesFile, { io: 'input', unrepresentable: 'any' })),
)
await generate('docs/problems.md', (old) => between(old, problemTable()))
await generate('docs/telemetry.md', (old) => between(old, eventTable()))
await generate('docs/routes-json.md', (old) => withOrder(between(old, referenceTables())))
await generate('docs/architecture.md', withOrder)
await generate('docs/security.md', withOrder)
if (stale) process.exit(1)

async function generate(file: string, make: (old: string) => string): Promise<void> {
  const old = readOr(file, '')
  const options = await prettier.resolveConfig(file)
  const text = await prettier.format(make(old), { ...options, filepath: file })
  if (text === old) return
  if (check) console.error(`${file} is out of date: run "npm run generate"`)
  else writeFileSync(file, text)
  stale ||= check
}

function readOr(file: string, otherwise: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return otherwise
  }
}

function between(old: string, table: string): string {
  const marks = /<!-- generated -->[^]*<!-- \/generated -->/
  if (!marks.test(old)) throw new Error('expected <!-- generated --> … <!-- /generated --> in the file')
  return old.replace(marks, () => `<!-- generated -->\n\n${table}\n\n<!-- /generated -->`)
}

/** The page with the order of the policies between its marks; between `<!-- order before auth -->` only those that run before `auth`. */
function withOrder(page: string): string {
  const names = policies.map(({ name, span }) =>
    span === undefined ? `\`${name}\`` : `\`${name}\` (\`before: "auth"\`)`,
  )
  const marks = /<!-- order( before auth)? -->[^]*?<!-- \/order -->/
  if (!marks.test(page)) throw new Error('expected <!-- order --> … <!-- /order --> in the file')
  return page.replace(marks, (_, part = '') => {
    const listed = part === '' ? names : names.slice(0, names.indexOf('`auth`'))
    return `<!-- order${part} -->\n\n${listed.join(', ')}\n\n<!-- /order -->`
  })
}

function problemTable(): string {
  const rows = Object.entries(PROBLEMS).map(([code, [status, title]]) => `| \`${code}\` | ${status} | ${title} |`)
  return ['| code | status | title |', '| --- | --- | --- |', ...rows].join('\n')
}

function eventTable(): string {
  const rows = Object.entries(EVENTS).map(([event, meaning]) => `| \`${event}\` | ${meaning} |`)
  return ['| event | meaning |', '| --- | --- |', ...rows].join('\n')
}

/** One table for each part of the routes file that has fields of its own. */
function referenceTables(): string {
  const tableOf = (title: string, schema: z.ZodMiniType) =>
    fieldTable(title, z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema)
  return [
    tableOf('The file', routesFile),
    tableOf('An upstream', upstream),
    ...AUTH_PROVIDERS.map((provider) => tableOf(`An auth provider of type \`${typeOf(provider)}\``, provider)),
    ...policies
      .filter(({ span }) => span === undefined)
      .map((policy) => tableOf(`Policy \`${policy.name}\``, policy.config)),
  ].join('\n\n')
}

/** The value of `type` in the schema of a provider. */
function typeOf(provider: (typeof AUTH_PROVIDERS)[number]): string {
  return provider.shape.type.def.values[0]!
}

function fieldTable(title: string, schema: JsonSchema): string {
  const rows = fieldsOf(schema).map(([field, text]) => `| \`${field}\` | ${text.replaceAll('|', '\\|')} |`)
  return [`### ${title}`, '', '| field | what it means |', '| --- | --- |', ...rows].join('\n')
}

/** Every field that has a description, those of inner objects and arrays included. */
function fieldsOf(schema: JsonSchema, at = ''): [field: string, description: string][] {
  const alternatives = schema.oneOf ?? schema.anyOf
  const inner = schema.items ?? alternatives?.find((branch) => branch.properties) ?? schema
  // Policies and upstreams have tables of their own.
  if (at === 'routes[].policies' || at === 'routes[].upstream.retry') return []
  return Object.entries(inner.properties ?? {}).flatMap(([key, field]) => {
    const path = `${at}${schema.items ? '[].' : at ? '.' : ''}${key}`
    const own: [string, string][] = field.description === undefined ? [] : [[path, field.description]]
    return [...own, ...fieldsOf(field, path)]
  })
}
