import './worker-modules.ts'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, relative } from 'node:path'
import type { Diagnostic } from '../src/config/schema/diagnostic.ts'
import { misused, readArguments, typedPath } from './arguments.ts'
import { readJson } from './read-json.ts'

/**
 * Checks a routes file and writes what the Worker embeds. When the file has mistakes, the first of them are printed with their JSON paths, the exit
 * code is 1, and nothing is written.
 */
const USAGE = `Usage: npm run validate -- [FILE]

Prints the mistakes of a routes file (default routes.json) with their JSON paths, and writes nothing.
Without FILE, UMBRAL_ROUTES in the environment names it.

The builds run it as: node dev/build.ts [FILE] [--out FILE], which writes the checked file (default .build/routes.txt);
there UMBRAL_ROUTES takes precedence over FILE.`

const { positionals, values } = readArguments(USAGE, {
  allowPositionals: true,
  options: { out: { type: 'string', default: '.build/routes.txt' }, check: { type: 'boolean', default: false } },
})
if (positionals.length > 1) misused(USAGE, `expected one file, found ${positionals.length}`)
// In a build the variable takes precedence: only it can name another file for the `[build] command`, which wrangler.toml fixes.
const [argument] = positionals
const variable = process.env.UMBRAL_ROUTES
const named = values.check ? (argument ?? variable) : (variable ?? argument)
const file = named === undefined ? 'routes.json' : shortest(typedPath(named))
const { diagnosticLines } = await import('../src/config/schema/diagnostic.ts')
const { loadConfig } = await import('../src/config/load.ts')
const { configWarnings, environmentDiagnostics } = await import('../src/config/environment.ts')

const { json, diagnostics } = read()
if (diagnostics.length > 0) refuse(diagnostics)
const loaded = loadConfig(json)
if ('diagnostics' in loaded) refuse(loaded.diagnostics)
const wrong = environmentDiagnostics(loaded.config, (name) => process.env[name])
if (wrong.length > 0) refuse(wrong)
const warnings = configWarnings(loaded.config, (name) => process.env[name])
if (warnings.length > 0)
  console.error([`${file}: ${counted(warnings, 'warning')}`, ...diagnosticLines(warnings)].join('\n'))
if (values.check) console.log(`${file}: no mistakes`)
else {
  mkdirSync(dirname(values.out), { recursive: true })
  writeFileSync(values.out, JSON.stringify(loaded.config))
}

/** A path as messages show it: from the current folder where it is below that. */
function shortest(path: string): string {
  const fromHere = relative('.', path)
  return fromHere.startsWith('..') ? path : fromHere
}

function read() {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    return fail(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`)
  }
  try {
    return readJson(file, text)
  } catch (error) {
    return fail((error as Error).message)
  }
}

function refuse(found: readonly Diagnostic[]): never {
  fail([`${file}: ${counted(found, 'mistake')}`, ...diagnosticLines(found)].join('\n'))
}

/** `1 mistake`, `2 mistakes`. */
function counted({ length }: readonly Diagnostic[], noun: string): string {
  return `${length} ${noun}${length > 1 ? 's' : ''}`
}

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}
