import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { freePorts } from './ports.ts'
import type { Processes } from './processes.ts'
import type { StateFolder } from './state-folder.ts'

/** The base URLs of the demo's programs, by the variables that routes.json names. */
export type Addresses = Readonly<
  Record<'USERS_URL' | 'USERS_2_URL' | 'ORDERS_URL' | 'CATALOG_URL' | 'ISSUER_URL' | 'JWKS_URL' | 'BROKEN_URL', string>
>

/** Wrangler without prompts, metrics and banner. */
const QUIET = {
  CI: '1',
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_SEND_ERROR_REPORTS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  WRANGLER_NO_SKILLS_UPDATE_PROMPTS: 'true',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
}

/** Lines that are kept of wrangler's output, which grows with each request. */
const MAX_LINES = 100

/** Chooses loopback addresses on ports that are free. Nothing is started on that of BROKEN_URL. */
export async function chooseAddresses(): Promise<Addresses> {
  const ports = await freePorts(6)
  const url = (index: number) => `http://127.0.0.1:${ports[index]}`
  return {
    USERS_URL: url(0),
    USERS_2_URL: url(1),
    ORDERS_URL: url(2),
    CATALOG_URL: url(3),
    ISSUER_URL: url(4),
    JWKS_URL: `${url(4)}/.well-known/jwks.json`,
    BROKEN_URL: url(5),
  }
}

/** Starts the three microservices, `users` twice, and the issuer. Their output is shown: without errors they write none. */
export function startOrigins(processes: Processes, addresses: Addresses, env: NodeJS.ProcessEnv): void {
  const start = (name: string, file: string, url: string) =>
    processes.start(name, [file, new URL(url).port, name], env, (line) => process.stderr.write(`${name}: ${line}\n`))
  start('users-1', 'dev/services/users.ts', addresses.USERS_URL)
  start('users-2', 'dev/services/users.ts', addresses.USERS_2_URL)
  start('orders', 'dev/services/orders.ts', addresses.ORDERS_URL)
  start('catalog', 'dev/services/catalog.ts', addresses.CATALOG_URL)
  start('issuer', 'dev/issuer.ts', addresses.ISSUER_URL)
}

/**
 * Starts the gateway under `wrangler dev`. Its log lines go to a file, and diagnostics of a routes.json that was edited meanwhile are
 * printed. Returns the latest lines of wrangler's own output, for the message of a failure; the array changes while wrangler runs.
 */
export function startGateway(
  processes: Processes,
  port: number,
  folder: StateFolder,
  env: NodeJS.ProcessEnv,
): readonly string[] {
  const output: string[] = []
  const log = createWriteStream(folder.gatewayLog, { flags: 'a', mode: 0o600 })
  const folders = {
    WRANGLER_LOG_PATH: join(folder.path, 'wrangler'),
    WRANGLER_REGISTRY_PATH: join(folder.path, 'registry'),
  }
  const args = ['dev', '--port', String(port), '--ip', '127.0.0.1', '--inspector-port', '0']
  args.push('--persist-to', join(folder.path, 'state'), '--env-file', folder.envFile)
  const wrangler = 'node_modules/wrangler/bin/wrangler.js'
  processes.start('gateway', [wrangler, ...args], { ...env, ...QUIET, ...folders }, (colored) => {
    const line = stripVTControlCharacters(colored)
    if (line.startsWith('{')) log.write(`${line}\n`)
    else if (output.push(line) > MAX_LINES) output.shift()
    const [, diagnostic] = /^\[custom build\] (?!Running)(.+)/.exec(line) ?? []
    if (diagnostic !== undefined) console.error(diagnostic)
    if (line.includes('[ERROR] Running custom build')) console.error('Requests wait until the file is corrected.')
  })
  return output
}
