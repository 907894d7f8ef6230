// Runs first, on any Node from 20 on and with nothing installed. It installs the packages of package-lock.json when node_modules
// differs, and redis-server with `--redis`.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(join(root, file), 'utf8')).packages
  } catch {
    return undefined
  }
}

// npm omits packages for other platforms, and the packages that only those need.
function mayBeAbsent(locked) {
  if (!locked.optional) return false
  const matches = (allowed, current) => allowed === undefined || allowed.includes(current)
  const forThisPlatform =
    locked.os !== undefined && matches(locked.os, process.platform) && matches(locked.cpu, process.arch)
  return !forThisPlatform || locked.libc !== undefined
}

// npm writes this second lock when an installation is complete; reading both is a hundred times faster than `npm ls`.
function isInstalled() {
  const wanted = readPackages('package-lock.json')
  const found = readPackages('node_modules/.package-lock.json')
  if (wanted === undefined || found === undefined) return false
  return Object.entries(wanted).every(([path, locked]) => {
    if (!path.startsWith('node_modules/')) return true
    const present = found[path]
    if (present === undefined) return mayBeAbsent(locked)
    return present.version === locked.version && present.integrity === locked.integrity
  })
}

// `npm run` puts the Node of node_modules first on the path, and `npm ci` deletes it. So npm runs on the Node of the user.
function installPackages() {
  print('installing what package-lock.json lists (npm ci)')
  const own = (folder) => !folder.endsWith(join('node_modules', '.bin'))
  const env = { ...process.env, PATH: (process.env.PATH ?? '').split(delimiter).filter(own).join(delimiter) }
  const { npm_node_execpath: node, npm_execpath: npm } = process.env
  const [command, ...args] = node && npm ? [node, npm, 'ci'] : ['npm', 'ci']
  run(command, [...args, '--no-audit', '--no-fund', '--loglevel=error'], env, 'npm ci failed')
}

function isOnPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return folder !== ''
    } catch {
      return false
    }
  })
}

const POLICY = '/usr/sbin/policy-rc.d'

function installRedis() {
  const advice = 'install redis-server 7 or newer and put it on the PATH'
  if (!isOnPath('apt-get')) fail(`redis-server is missing, and there is no apt-get to install it with: ${advice}`)
  if (process.getuid?.() !== 0) fail('redis-server is missing; run: sudo apt-get install redis-server')
  print('installing redis-server, which the tests need (apt-get)')
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  // Debian starts a service at its installation; the tests start their own servers and need none on port 6379.
  const forbidStart = !existsSync(POLICY)
  if (forbidStart) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    run('apt-get', ['update', '-qq'], env, `apt-get update failed: ${advice}`)
    const install = ['install', '-y', '-qq', '--no-install-recommends', 'redis-server']
    run('apt-get', install, env, `apt-get install failed: ${advice}`)
  } finally {
    if (forbidStart) rmSync(POLICY)
  }
}

// The output is shown only when the command fails.
function run(command, args, env, message) {
  const done = spawnSync(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })
  if (done.status === 0) return
  process.stderr.write(`${done.stdout ?? ''}${done.stderr ?? ''}`)
  throw new Error(done.error ? `${message} (${done.error.message})` : message)
}

function print(line) {
  process.stdout.write(`setup: ${line}\n`)
}

function fail(line) {
  throw new Error(line)
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 18) || existsSync(join(root, 'node_modules/.bin/node'))) return
  fail(`Node ${process.versions.node} is too old here: install Node 24 (on Linux x64 and arm64, npm ci installs it)`)
}

try {
  if (!isInstalled()) installPackages()
  checkNode()
  if (process.argv.includes('--redis') && !isOnPath('redis-server')) installRedis()
} catch (error) {
  process.stderr.write(`setup: ${error.message}\n`)
  process.exitCode = 1
}
