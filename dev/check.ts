import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const CHECKS = {
  format: ['prettier', '--check', '.'],
  lint: ['oxlint', '--type-aware', '--deny-warnings'],
  'types of the Worker': ['tsc', '-p', 'tsconfig.json'],
  'types of the tools': ['tsc', '-p', 'tsconfig.node.json'],
  'routes.json': ['node', 'dev/build.ts', 'routes.json', '--check'],
  'routes.production.json': ['node', 'dev/build.ts', 'routes.production.json', '--check'],
  'generated files': ['node', 'dev/generate.ts', '--check'],
}

const root = join(import.meta.dirname, '..')
/** The whole environment of the checks, so that no variable of the shell changes their result. */
const env = { PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}` }

/** Runs one check; its output is shown only when it fails. */
function passes(name: string, [command, ...args]: readonly string[]): boolean {
  const done = spawnSync(command!, args, { cwd: root, env, encoding: 'utf8' })
  const ok = done.status === 0
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${name}`)
  if (ok) return true
  console.log(`${done.stdout ?? ''}${done.stderr ?? ''}${done.error?.message ?? ''}`.trimEnd())
  if (name === 'format') console.log('run npm run format')
  return false
}

const failures = Object.entries(CHECKS).filter(([name, command]) => !passes(name, command))
if (failures.length > 0) process.exitCode = 1
