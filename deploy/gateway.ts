import * as fs from 'node:fs'
import { join } from 'node:path'
import { workerdConfig } from './config.ts'
import { buildRoutes, buildWorker, cacheSpec, gatewaySpec } from './worker.ts'
import { startWorkerd, type Workerd, type WorkerdOptions } from './workerd.ts'

/** What the gateway reads of its environment besides the names in routes.json. */
const STANDARD_VARIABLES = /^(UPSTASH_REDIS_REST_(URL|TOKEN)|OTEL_\w+|SENTRY_DSN|LOG_LEVEL)$/

export interface GatewayOptions extends Omit<WorkerdOptions, 'config'> {
  /** A routes.json. */
  readonly routes: string
}

/** Starts the gateway for one routes file under plain workerd. Rejects with a message for its operator before anything is spawned when the file is wrong. */
export async function startGatewayProcess({ routes, ...options }: GatewayOptions): Promise<Workerd> {
  fs.mkdirSync(options.stateDir, { recursive: true })
  const folder = fs.mkdtempSync(join(options.stateDir, 'routes-'))
  const routesText = join(folder, 'routes.txt')
  try {
    await buildRoutes(routes, routesText, options.env)
    const worker = await buildWorker(routesText)
    const variables = boundVariables(fs.readFileSync(routesText, 'utf8'), options.env)
    const config = workerdConfig(gatewaySpec(worker, routesText, variables), cacheSpec(worker))
    return await startWorkerd({ ...options, config })
  } finally {
    // workerd has read it by the time it listens.
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

/** Those of `env` that the routes file names through `$secret` or `$env`, and the standard ones; the rest stays out of the Worker. */
export function boundVariables(routesText: string, env: NodeJS.ProcessEnv): string[] {
  const named = new Set<string>()
  JSON.parse(routesText, (key, value: unknown) => {
    if ((key === '$secret' || key === '$env') && typeof value === 'string') named.add(value)
    return value
  })
  return Object.keys(env).filter((name) => named.has(name) || STANDARD_VARIABLES.test(name))
}
