import { randomUUID } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { configWarnings, unsetKeys, unsetTargets } from '../src/config/environment.ts'
import type { Config } from '../src/config/routes-file.ts'
import { diagnosticLines, diagnosticText } from '../src/config/schema/diagnostic.ts'
import { workerdConfig, type WorkerSpec } from './config.ts'
import { buildRoutes, buildWorker, cacheSpec, gatewaySpec } from './worker.ts'
import { startWorkerd, type Workerd, type WorkerdOptions } from './workerd.ts'

/** The variables that the gateway reads besides those that routes.json names. */
const STANDARD_VARIABLES =
  /^(UPSTASH_REDIS_REST_(URL|TOKEN)|OTEL_\w+|SENTRY_DSN|LOG_LEVEL|UMBRAL_LIMIT_LOG|UMBRAL_BOOTSTRAP_TOKEN|UMBRAL_STATE_SECRET)$/

/** A routes file to run. */
export interface RoutesSource {
  /** Its path. */
  readonly routes: string
  readonly env: NodeJS.ProcessEnv
  /** Receives a line for each likely mistake, and for each unset variable, with which the gateway starts all the same. */
  readonly warn?: (line: string) => void
}

/** A checked routes file, and the Workers that a process of the gateway consists of. */
export interface PreparedGateway {
  /** The checked text, and the file that contains it. */
  readonly routes: string
  readonly routesText: string
  /** The variables that it names, with their values. */
  readonly variables: Readonly<Record<string, string>>
  readonly gateway: WorkerSpec
  readonly cache: WorkerSpec
}

/**
 * Checks a routes file and bundles the Worker. The checked text is written into `folder`, which must exist until workerd listens. Rejects with a
 * message for the operator when the file is invalid.
 */
export async function prepareGateway({ routes, env, warn }: RoutesSource, folder: string): Promise<PreparedGateway> {
  const routesText = join(folder, `routes-${randomUUID()}.txt`)
  await buildRoutes(routes, routesText, env)
  const checked = fs.readFileSync(routesText, 'utf8')
  try {
    refuseUnset(routes, checked, env)
  } catch (error) {
    fs.rmSync(routesText)
    throw error
  }
  for (const line of [...warningLines(JSON.parse(checked) as Config, env), ...certificateWarnings(env)]) warn?.(line)
  const worker = await buildWorker(routesText)
  const names = boundVariables(checked, env)
  return {
    routes: checked,
    routesText,
    variables: Object.fromEntries(names.map((name) => [name, env[name]!])),
    gateway: gatewaySpec(worker, routesText, names),
    cache: cacheSpec(worker),
  }
}

/** How to start a gateway in one process. */
export interface GatewayOptions extends Omit<WorkerdOptions, 'config'>, RoutesSource {}

/** Starts the gateway for one routes file in one process of plain workerd, without a supervisor. Rejects before anything is spawned when the file is invalid. */
export async function startGatewayProcess({ routes, warn, ...options }: GatewayOptions): Promise<Workerd> {
  const folder = fs.mkdtempSync(join(tmpdir(), 'umbral-routes-'))
  try {
    const { gateway, cache } = await prepareGateway({ routes, env: options.env, ...(warn && { warn }) }, folder)
    return await startWorkerd({ ...options, config: workerdConfig(gateway, cache) })
  } finally {
    // workerd has read the files when it listens.
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

function warningLines(config: Config, env: NodeJS.ProcessEnv): string[] {
  const variable = (name: string) => env[name]
  return [...configWarnings(config, variable).map(diagnosticText), ...unsetKeys(config, variable)]
}

/** workerd ignores a file of root certificates that it cannot read. */
function certificateWarnings({ SSL_CERT_FILE: file }: NodeJS.ProcessEnv): string[] {
  if (!file) return []
  try {
    if (fs.readFileSync(file, 'utf8').includes('-----BEGIN CERTIFICATE-----')) return []
    return [`SSL_CERT_FILE: ${file} has no certificate in PEM`]
  } catch (error) {
    return [`SSL_CERT_FILE: ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`]
  }
}

/** Throws an Error that lists every target whose variable is not in `env`; `checked` is the checked text of the file `routes`. */
export function refuseUnset(routes: string, checked: string, env: NodeJS.ProcessEnv): void {
  const unset = unsetTargets(JSON.parse(checked) as Config, (name) => env[name])
  if (unset.length > 0) throw new Error([`${routes}: set these variables`, ...diagnosticLines(unset)].join('\n'))
}

/** The names in `env` that the routes file uses through `$secret` or `$env`, and the standard ones. The Worker receives no others. */
export function boundVariables(routesText: string, env: NodeJS.ProcessEnv): string[] {
  const named = new Set<string>()
  JSON.parse(routesText, (key, value: unknown) => {
    if ((key === '$secret' || key === '$env') && typeof value === 'string') named.add(value)
    return value
  })
  return Object.keys(env).filter((name) => named.has(name) || STANDARD_VARIABLES.test(name))
}
