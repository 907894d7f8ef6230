import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What is read of vitest's JSON report. */
interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[]
}

process.chdir(join(import.meta.dirname, '..'))
// The tests are of this project's own routes file, whatever the shell has set.
delete process.env.UMBRAL_ROUTES
// The Worker under test embeds the checked routes file.
const [passed, failed] = node('dev/build.ts', 'routes.json') ? runTests(process.argv.slice(2)) : [0, 1]
console.log(`${passed} passed, ${failed} failed`)
if (failed > 0) process.exitCode = 1

/** Runs all tests, or those that `args` choose for vitest. */
function runTests(args: readonly string[]): [passed: number, failed: number] {
  const folder = mkdtempSync(join(tmpdir(), 'umbral-test-'))
  const file = join(folder, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  const succeeded = node('node_modules/vitest/vitest.mjs', 'run', ...reporters, ...args)
  const report = readReport(file)
  rmSync(folder, { recursive: true })
  const failed = (report?.numFailedTests ?? 0) + (report?.testResults.filter(failedToLoad).length ?? 0)
  // An error outside of every test fails the run without failing a test.
  return [report?.numPassedTests ?? 0, succeeded ? failed : Math.max(failed, 1)]
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
