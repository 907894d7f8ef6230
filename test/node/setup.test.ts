import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

/** A project in a folder of its own, with a real package for npm to install without any network. */
const project = mkdtempSync(join(tmpdir(), 'umbral-setup-'))
const at = (path: string) => join(project, path)

beforeAll(() => {
  mkdirSync(at('dev'))
  cpSync('dev/setup.mjs', at('dev/setup.mjs'))
  publish('1.0.0')
})
afterAll(() => rmSync(project, { recursive: true }))

/** Packs `leaf` in this version and writes the lock that asks for it, leaving node_modules as it is. */
function publish(version: string): void {
  mkdirSync(at('leaf'), { recursive: true })
  writeFileSync(at('leaf/package.json'), JSON.stringify({ name: 'leaf', version }))
  execFileSync('npm', ['pack', './leaf', '--silent'], { cwd: project, stdio: 'pipe' })
  const resolved = `file:leaf-${version}.tgz`
  const digest = createHash('sha512').update(readFileSync(at(`leaf-${version}.tgz`)))
  const leaf = { version, resolved, integrity: `sha512-${digest.digest('base64')}` }
  const root = { name: 'project', version: '1.0.0', dependencies: { leaf: resolved } }
  const packages = { '': root, 'node_modules/leaf': leaf }
  writeFileSync(at('package.json'), JSON.stringify(root))
  writeFileSync(at('package-lock.json'), JSON.stringify({ ...root, lockfileVersion: 3, requires: true, packages }))
}

function setup(args: string[] = [], env: NodeJS.ProcessEnv = {}): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [at('dev/setup.mjs'), ...args], {
    encoding: 'utf8',
    // npm by its name: the npm that runs these tests would find its own settings in these variables.
    env: { ...process.env, npm_execpath: undefined, npm_node_execpath: undefined, npm_config_offline: 'true', ...env },
  })
}

const installed = () =>
  (JSON.parse(readFileSync(at('node_modules/leaf/package.json'), 'utf8')) as { version: string }).version

function editLock(change: (packages: Record<string, unknown>) => void): void {
  const lock = JSON.parse(readFileSync(at('package-lock.json'), 'utf8')) as { packages: Record<string, unknown> }
  change(lock.packages)
  writeFileSync(at('package-lock.json'), JSON.stringify(lock))
}

test('a fresh clone gets its packages, and is told so in one line', () => {
  const { status, stdout } = setup()
  expect(stdout).toBe('setup: installing what package-lock.json lists (npm ci)\n')
  expect(status).toBe(0)
  expect(installed()).toBe('1.0.0')
})

test('what is installed is left alone, silently', () => {
  writeFileSync(at('node_modules/marker'), '')
  expect(setup()).toMatchObject({ status: 0, stdout: '', stderr: '' })
  expect(existsSync(at('node_modules/marker'))).toBe(true)
})

test('a lock that has moved on is followed', () => {
  publish('1.1.0')
  expect(setup().stdout).toContain('npm ci')
  expect(installed()).toBe('1.1.0')
})

test('an optional package for another platform may be absent, one for this platform may not', () => {
  const cpu = [process.arch]
  editLock(
    (packages) => (packages['node_modules/elsewhere'] = { version: '1.0.0', optional: true, os: ['plan9'], cpu }),
  )
  expect(setup()).toMatchObject({ status: 0, stdout: '' })
  editLock(
    (packages) => (packages['node_modules/here'] = { version: '1.0.0', optional: true, os: [process.platform], cpu }),
  )
  expect(setup().stdout).toContain('npm ci')
})

test('a failing npm ci is shown and fails', () => {
  const integrity = `sha512-${createHash('sha512').update('something else').digest('base64')}`
  editLock(
    (packages) => (packages['node_modules/leaf'] = { version: '1.1.0', resolved: 'file:leaf-1.1.0.tgz', integrity }),
  )
  const { status, stderr } = setup()
  expect(status).toBe(1)
  expect(stderr).toContain('npm error')
  expect(stderr).toContain('setup: npm ci failed')
  publish('1.1.0')
  expect(setup().status).toBe(0)
})

test('without apt-get a missing redis-server is a clear error', () => {
  const { status, stderr } = setup(['--redis'], { PATH: at('leaf') })
  expect(status).toBe(1)
  expect(stderr).toBe(
    'setup: redis-server is missing, and there is no apt-get to install it with: ' +
      'install redis-server 7 or newer and put it on the PATH\n',
  )
})
