import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { boundVariables, refuseUnset } from '../deploy/gateway.ts'
import { unsetKeys } from '../src/config/environment.ts'
import type { Config } from '../src/config/routes-file.ts'
import { portTaken, readArguments, readPort, typedPath } from './arguments.ts'
import { makeAccounts } from './demo/accounts.ts'
import { curlLines } from './demo/curl-lines.ts'
import { isFree } from './demo/ports.ts'
import { makeProcesses } from './demo/processes.ts'
import { chooseAddresses, startGateway, startOrigins, type Addresses } from './demo/programs.ts'
import { openStateFolder, type StateFolder } from './demo/state-folder.ts'

const USAGE = `Usage: npm start -- [--port 8787] [--keep] [--redis]

Runs the demo: three microservices, an issuer of tokens, and the gateway in front of them.
  --port N  the gateway's port
  --keep    keep state, secrets and log in .wrangler/demo, and reuse them at the next start
  --redis   count limits in a separate Redis server`

const READY_WITHIN_MS = 90_000
/** The demo's own routes file, for which the tour and its accounts are made. */
const DEMO_ROUTES = 'routes.json'
const ROUTES = process.env.UMBRAL_ROUTES === undefined ? DEMO_ROUTES : typedPath(process.env.UMBRAL_ROUTES)
/** The output of dev/build.ts. */
const BUILT = '.build/routes.txt'
/** The demo counts limits in its own store, even when the shell sets these variables. */
const OWN_STORE = { UPSTASH_REDIS_REST_URL: undefined, UPSTASH_REDIS_REST_TOKEN: undefined }

process.chdir(join(import.meta.dirname, '..'))
try {
  await main()
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}

async function main(): Promise<void> {
  const { port, keep, redis } = readOptions()
  const interrupted = new Promise<void>((stop) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop())
  })
  if (!(await isFree(port))) throw new Error(portTaken('npm start', port))
  const addresses = await chooseAddresses()
  const env = { ...process.env, ...OWN_STORE, ...addresses, UMBRAL_ROUTES: ROUTES }
  if (!run(['dev/build.ts', ROUTES], env)) return
  const store = redis ? await startRedis() : undefined
  const folder = openStateFolder(keep ? '.wrangler/demo' : undefined)
  try {
    folder.writeEnv(variablesOf({ ...env, ...folder.secrets, ...store?.variables }))
    await runDemo(port, addresses, folder, env, interrupted)
  } finally {
    await store?.stop()
    folder.remove()
  }
}

async function runDemo(
  port: number,
  addresses: Addresses,
  folder: StateFolder,
  env: NodeJS.ProcessEnv,
  interrupted: Promise<void>,
): Promise<void> {
  const processes = makeProcesses()
  startOrigins(processes, addresses, { ...env, ...folder.secrets })
  const output = startGateway(processes, port, folder, env)
  const failed = processes.firstExit.then(({ name, reason }) => {
    throw new Error([...(name === 'gateway' ? output : []), `${name} ended (${reason})`].join('\n'))
  })
  const gateway = `http://127.0.0.1:${port}`
  const { USERS_URL, USERS_2_URL, ORDERS_URL, CATALOG_URL, ISSUER_URL } = addresses
  const urls = [USERS_URL, USERS_2_URL, ORDERS_URL, CATALOG_URL, ISSUER_URL, gateway]
  const ended = new AbortController()
  const ready = Promise.all(urls.map((url) => waitUntilUp(url, output, ended.signal)))
  try {
    const printed = ready.then(async () => {
      const isDemo = resolve(ROUTES) === resolve(DEMO_ROUTES)
      const tour = isDemo ? await makeTour(gateway, addresses, folder) : ''
      const log = `# The access log, deleted at Ctrl-C without --keep: ${folder.gatewayLog}`
      console.log(`Umbral is at ${gateway} (Ctrl-C ends it)\n\n${tour}${log}`)
    })
    await Promise.race([interrupted, failed, printed.then(() => interrupted)])
  } finally {
    ended.abort()
    await processes.stop()
  }
}

function readOptions(): { port: number; keep: boolean; redis: boolean } {
  const { values } = readArguments(USAGE, {
    options: {
      port: { type: 'string', default: '8787' },
      keep: { type: 'boolean', default: false },
      redis: { type: 'boolean', default: false },
    },
  })
  return { ...values, port: readPort(USAGE, values.port, 1) }
}

/** The variables of `env` that the gateway receives. Throws when the variable of a target is unset; prints a line for each key that is unset. */
function variablesOf(env: NodeJS.ProcessEnv): Record<string, string> {
  const checked = readFileSync(BUILT, 'utf8')
  refuseUnset(ROUTES, checked, env)
  for (const line of unsetKeys(JSON.parse(checked) as Config, (name) => env[name])) console.error(line)
  const named = boundVariables(checked, env).filter((name) => env[name])
  return Object.fromEntries(named.map((name) => [name, env[name]!]))
}

/** Runs a program of this project; true when it succeeded. Its output is shown. */
function run(args: readonly string[], env: NodeJS.ProcessEnv): boolean {
  const { status } = spawnSync(process.execPath, args, { env, stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) process.exitCode = 1
  return status === 0
}

async function startRedis(): Promise<{ variables: Record<string, string>; stop: () => Promise<void> }> {
  if (!run(['dev/setup.mjs', '--redis'], process.env)) throw new Error('--redis needs redis-server')
  const { startUpstash } = await import('./upstash/server.ts')
  const { url, token, stop } = await startUpstash()
  return { variables: { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token }, stop }
}

/** Resolves when `url` responds. Rejects at the first error in wrangler's `output`, with that output: wrangler itself would wait for a change of the source. */
async function waitUntilUp(url: string, output: readonly string[], ended: AbortSignal): Promise<void> {
  const end = Date.now() + READY_WITHIN_MS
  while (Date.now() < end) {
    if (output.some((line) => line.includes('[ERROR]'))) throw new Error(output.join('\n'))
    const signal = AbortSignal.any([ended, AbortSignal.timeout(2_000)])
    const response = await fetch(`${url}/health`, { signal }).catch(() => undefined)
    await response?.body?.cancel()
    // Another routes file need not have this path.
    if (response !== undefined && response.status < 500) return
    await sleep(100, undefined, { signal: ended })
  }
  throw new Error([...output, `${url}/health did not respond within ${READY_WITHIN_MS / 1000} s`].join('\n'))
}

/** The commands to try. Creates the accounts that they use. */
async function makeTour(
  gateway: string,
  { ISSUER_URL, USERS_2_URL }: Addresses,
  { secrets }: StateFolder,
): Promise<string> {
  const user = await makeAccounts(gateway, secrets.UMBRAL_BOOTSTRAP_TOKEN)
  const lines = curlLines({ gateway, issuer: ISSUER_URL, users2: USERS_2_URL, user })
  return lines.map(({ expect, command }) => `# ${expect}\n${command}\n\n`).join('')
}
