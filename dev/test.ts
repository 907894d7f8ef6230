import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What is read of vitest's JSON report. */
interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[]
}

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/**
 * `npm test [-- FILE …]` runs all tests but the soak tests, or the named files. `--fast` runs those inside workerd alone, `--soak` those that need
 * the machine for themselves. The last line is `N passed, N failed, N skipped`.
 */
const PROJECTS: Readonly<Record<string, readonly string[]>> = {
  '--fast': ['workerd'],
  '--soak': ['soak-workerd', 'soak-node'],
}
const DEFAULT_PROJECTS = ['workerd', 'node']

process.chdir(join(import.meta.dirname, '..'))
// The tests are of this project's own routes file, whatever the shell has set.
delete process.env.UMBRAL_ROUTES
// The Worker under test embeds the checked routes file.
const { passed, failed, skipped } = node('dev/build.ts', 'routes.json')
  ? runTests(process.argv.slice(2))
  : { passed: 0, failed: 1, skipped: 0 }
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
if (failed > 0) process.exitCode = 1

/** Runs the tests that `args` choose. */
function runTests(args: readonly string[]): Counts {
  const mode = args.find((arg) => arg in PROJECTS)
  const rest = args.filter((arg) => arg !== mode)
  const namesFiles = rest.some((arg) => !arg.startsWith('-'))
  const projects = mode ? PROJECTS[mode]! : namesFiles ? [] : DEFAULT_PROJECTS
  const folder = mkdtempSync(join(tmpdir(), 'umbral-test-'))
  const file = join(folder, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  const chosen = [...projects.map((name) => `--project=${name}`), ...rest]
  const succeeded = node('node_modules/vitest/vitest.mjs', 'run', ...reporters, ...chosen)
  const report = readReport(file)
  rmSync(folder, { recursive: true })
  const failed = (report?.numFailedTests ?? 0) + (report?.testResults.filter(failedToLoad).length ?? 0)
  return {
    passed: report?.numPassedTests ?? 0,
    // An error outside of every test fails the run without failing a test.
    failed: succeeded ? failed : Math.max(failed, 1),
    skipped: report?.numPendingTests ?? 0,
  }
}

function node(...args: string[]): boolean {
  return spawnSync(process.execPath, args, { stdio: 'inherit' }).status === 0
}

/** A file that threw before its tests were known. */
function failedToLoad({ status, assertionResults }: Report['testResults'][number]): boolean {
  return status === 'failed' && assertionResults.length === 0
}

/** Undefined when vitest ended before it could write one. */
function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Report
  } catch {
    return undefined
  }
}
