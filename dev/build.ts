import './worker-modules.ts'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import type { Complaint } from '../src/config/complaint.ts'

/**
 * Checks a routes file and writes what the Worker embeds: `node dev/build.ts routes.json [--out FILE] [--check]`.
 * The first mistakes are printed with their JSON paths; the exit code is then 1 and nothing is written. `--check` never writes.
 * The variable UMBRAL_ROUTES, where it is set, names the file instead of the argument: the only way to give another file to the
 * `[build] command` that wrangler.toml fixes.
 */
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { out: { type: 'string', default: '.build/routes.txt' }, check: { type: 'boolean', default: false } },
})
const file = process.env.UMBRAL_ROUTES ?? positionals[0] ?? 'routes.json'
const { complaintLines } = await import('../src/config/complaint.ts')
const { loadConfig } = await import('../src/config/load.ts')
const { environmentComplaints } = await import('../src/config/environment.ts')

const loaded = loadConfig(readJson(file))
if ('complaints' in loaded) refuse(loaded.complaints)
const unset = environmentComplaints(loaded.config, (name) => process.env[name])
if (unset.length > 0) refuse(unset)
if (!values.check) {
  mkdirSync(dirname(values.out), { recursive: true })
  writeFileSync(values.out, JSON.stringify(loaded.config))
}

function readJson(path: string): unknown {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    return fail(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`)
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    return fail(`${path}: not valid JSON: ${(error as Error).message}`)
  }
}

function refuse(complaints: readonly Complaint[]): never {
  fail(
    [`${file}: ${complaints.length} mistake${complaints.length > 1 ? 's' : ''}`, ...complaintLines(complaints)].join(
      '\n',
    ),
  )
}

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}
