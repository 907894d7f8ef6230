import * as fs from 'node:fs'
import { join } from 'node:path'
import { configWarnings, unsetKeys, unsetTargets } from '../src/config/environment.ts'
import type { Config } from '../src/config/routes-file.ts'
import { diagnosticLines, diagnosticText } from '../src/config/schema/diagnostic.ts'
import { workerdConfig } from './config.ts'
import { buildRoutes, buildWorker, cacheSpec, gatewaySpec } from './worker.ts'
import { startWorkerd, type Workerd, type WorkerdOptions } from './workerd.ts'

/** The variables that the gateway reads besides those that routes.json names. */
const STANDARD_VARIABLES =
  /^(UPSTASH_REDIS_REST_(URL|TOKEN)|OTEL_\w+|SENTRY_DSN|LOG_LEVEL|UMBRAL_LIMIT_LOG|UMBRAL_BOOTSTRAP_TOKEN)$/

/** How to start a gateway. */
export interface GatewayOptions extends Omit<WorkerdOptions, 'config'> {
  /** The path of a routes file. */
  readonly routes: string
  /** Receives a line for each likely mistake, and for each unset variable, with which the gateway starts all the same. */
  readonly warn?: (line: string) => void
}

/** Starts the gateway for one routes file under plain workerd. Rejects with a message for the operator, before anything is spawned, when the file is invalid. */
export async function startGatewayProcess({ routes, warn, ...options }: GatewayOptions): Promise<Workerd> {
  fs.mkdirSync(options.stateDir, { recursive: true })
  const folder = fs.mkdtempSync(join(options.stateDir, 'routes-'))
  const routesText = join(folder, 'routes.txt')
  try {
    await buildRoutes(routes, routesText, options.env)
    const checked = fs.readFileSync(routesText, 'utf8')
    refuseUnset(routes, checked, options.env)
    for (const line of warningLines(JSON.parse(checked) as Config, options.env)) warn?.(line)
    const worker = await buildWorker(routesText)
    const variables = boundVariables(checked, options.env)
    const config = workerdConfig(gatewaySpec(worker, routesText, variables), cacheSpec(worker))
    return await startWorkerd({ ...options, config })
  } finally {
    // workerd has read the files when it listens.
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

function warningLines(config: Config, env: NodeJS.ProcessEnv): string[] {
  const variable = (name: string) => env[name]
  return [...configWarnings(config, variable).map(diagnosticText), ...unsetKeys(config, variable)]
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
