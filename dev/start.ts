import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as passed } from 'node:timers/promises'
import { boundVariables, refuseUnset } from '../deploy/gateway.ts'
import { unsetKeys } from '../src/config/environment.ts'
import type { Config } from '../src/config/routes-file.ts'
import { portTaken, readArguments, readPort } from './arguments.ts'
import { makeAccounts } from './demo/accounts.ts'
import { curlLines } from './demo/curl-lines.ts'
import { isFree } from './demo/ports.ts'
import { makeProcesses } from './demo/processes.ts'
import { chooseAddresses, startGateway, startOrigins, type Addresses } from './demo/programs.ts'
import { openStateFolder, type StateFolder } from './demo/state-folder.ts'

const USAGE = `Usage: npm start -- [--port 8787] [--keep] [--redis]

The demo: three microservices, an issuer of tokens, and the gateway in front of them.
  --port N  the gateway's port
  --keep    keep state, secrets and log in .wrangler/demo when it ends, and go on with them
  --redis   count limits in a Redis server of its own`

const READY_WITHIN_MS = 90_000
/** The demo's own routes file: the tour and its accounts are of these routes. */
const DEMO_ROUTES = 'routes.json'
const ROUTES = process.env.UMBRAL_ROUTES ?? DEMO_ROUTES
/** Where dev/build.ts puts what it has checked. */
const BUILT = '.build/routes.txt'
/** The demo counts in a store of its own, whatever the shell has set. */
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
  const env = { ...process.env, ...OWN_STORE, ...addresses }
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
  const words = startGateway(processes, port, folder, env)
  const fallen = processes.casualty.then(({ name, why }) => {
    throw new Error([...(name === 'gateway' ? words : []), `${name} ended (${why})`].join('\n'))
  })
  const gateway = `http://127.0.0.1:${port}`
  const { USERS_URL, USERS_2_URL, ORDERS_URL, CATALOG_URL, ISSUER_URL } = addresses
  const everyone = [USERS_URL, USERS_2_URL, ORDERS_URL, CATALOG_URL, ISSUER_URL, gateway]
  const over = new AbortController()
  const up = Promise.all(everyone.map((url) => isUp(url, words, over.signal)))
  try {
    const toured = up.then(async () => {
      const isDemo = resolve(ROUTES) === resolve(DEMO_ROUTES)
      const tour = isDemo ? await makeTour(gateway, addresses, folder) : ''
      const log = `# One line a request, which goes with Ctrl-C unless --keep was given: ${folder.gatewayLog}`
      console.log(`Umbral is at ${gateway} (Ctrl-C ends it)\n\n${tour}${log}`)
    })
    await Promise.race([interrupted, fallen, toured.then(() => interrupted)])
  } finally {
    over.abort()
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

/** What the gateway sees of `env`. Throws when a target's variable is not among it; a key that is not is only said. */
function variablesOf(env: NodeJS.ProcessEnv): Record<string, string> {
  const checked = readFileSync(BUILT, 'utf8')
  refuseUnset(ROUTES, checked, env)
  for (const line of unsetKeys(JSON.parse(checked) as Config, (name) => env[name])) console.error(line)
  const named = boundVariables(checked, env).filter((name) => env[name])
  return Object.fromEntries(named.map((name) => [name, env[name]!]))
}

/** True when the program succeeded; what it has to say otherwise is shown. */
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

/** Rejects, with all that wrangler said, at the first error in it: wrangler would wait for somebody to mend the source. */
async function isUp(url: string, words: readonly string[], over: AbortSignal): Promise<void> {
  const end = Date.now() + READY_WITHIN_MS
  while (Date.now() < end) {
    if (words.some((line) => line.includes('[ERROR]'))) throw new Error(words.join('\n'))
    const signal = AbortSignal.any([over, AbortSignal.timeout(2_000)])
    const answer = await fetch(`${url}/health`, { signal }).catch(() => undefined)
    await answer?.body?.cancel()
    // Another routes file need not have this path.
    if (answer !== undefined && answer.status < 500) return
    await passed(100, undefined, { signal: over })
  }
  throw new Error([...words, `${url}/health did not answer within ${READY_WITHIN_MS / 1000} s`].join('\n'))
}

/** The lines to try, once those who log in in them have accounts. */
async function makeTour(
  gateway: string,
  { ISSUER_URL, USERS_2_URL }: Addresses,
  { secrets }: StateFolder,
): Promise<string> {
  const user = await makeAccounts(gateway, secrets.UMBRAL_BOOTSTRAP_TOKEN)
  const lines = curlLines({ gateway, issuer: ISSUER_URL, users2: USERS_2_URL, user })
  return lines.map(({ expect, command }) => `# ${expect}\n${command}\n\n`).join('')
}
