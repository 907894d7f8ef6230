import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startGatewayProcess } from '../../deploy/gateway.ts'
import { makeCanary } from './canary.ts'

export interface RunningGateway {
  readonly url: string
  readonly port: number
  /** The process id of workerd itself. */
  readonly pid: number
  /** The access log so far. A line is written at about the time of the answer: wait for it. */
  readonly logs: () => readonly Record<string, unknown>[]
  /** What else it had to say: warnings, errors, and the runtime's own. */
  readonly stderr: () => string
  /** Lets requests in flight finish. Rejects, as `kill` does, when the gateway has written a secret of its environment. */
  readonly stop: () => Promise<void>
  /** As a crash would: kill -9. */
  readonly kill: () => Promise<void>
}

export interface GatewaySetup {
  /** The content of a routes.json; `version` is added. */
  readonly routes: Record<string, unknown>
  /** The gateway's whole environment: secrets, variables, LOG_LEVEL. */
  readonly env?: Record<string, string>
  /** Survives `stop` and `kill`; without it the state goes with the gateway. */
  readonly stateDir?: string
}

/** The gateway as `npm run serve` runs it, on a free port. Rejects with the checker's message when the routes are wrong. */
export async function startGateway({ routes, env = {}, stateDir }: GatewaySetup): Promise<RunningGateway> {
  const folder = mkdtempSync(join(tmpdir(), 'umbral-gateway-'))
  const cleanUp = () => rmSync(folder, { recursive: true, force: true })
  const file = join(folder, 'routes.json')
  writeFileSync(file, JSON.stringify({ version: 1, ...routes }))
  const gateway = await startGatewayProcess({
    routes: file,
    ip: '127.0.0.1',
    port: 0,
    stateDir: stateDir ?? join(folder, 'state'),
    env,
    stdout: 'pipe',
  }).catch((error: unknown) => {
    cleanUp()
    throw error
  })
  const canary = makeSecretWatch(routes, env)
  const lines: Record<string, unknown>[] = []
  createInterface({ input: gateway.stdout! }).on('line', (line) => {
    canary.read(line)
    if (line.startsWith('{')) lines.push(JSON.parse(line) as Record<string, unknown>)
  })
  let stderr = ''
  gateway.stderr.on('data', (chunk: Buffer) => void (stderr += chunk.toString()))
  const end = async (how: () => Promise<void>) => {
    await how().finally(cleanUp)
    canary.read(stderr)
    canary.check()
  }
  return {
    url: gateway.url,
    port: gateway.port,
    pid: gateway.pid,
    logs: () => lines.filter((line) => line.event === 'request'),
    stderr: () => stderr,
    stop: () => end(gateway.stop),
    kill: () => end(gateway.kill),
  }
}

const STANDARD_SECRETS = /^(?:UPSTASH_REDIS_REST_TOKEN|OTEL_EXPORTER_OTLP_HEADERS|SENTRY_DSN|UMBRAL_BOOTSTRAP_TOKEN)$/
/** Shorter ones are words that stand in a log for other reasons. */
const MIN_SECRET = 16

/** Whatever a test is about: `check` throws when the gateway has written one of its secrets, in any spelling, since it began. */
function makeSecretWatch(routes: Record<string, unknown>, env: Record<string, string>) {
  const canary = makeCanary()
  const written = new Set<string>()
  const named = new Set([...JSON.stringify(routes).matchAll(/"\$secret":"([^"]+)"/g)].map(([, name]) => name))
  for (const [name, secret] of Object.entries(env))
    if ((named.has(name) || STANDARD_SECRETS.test(name)) && secret.length >= MIN_SECRET) canary.watch(name, secret)
  return {
    read: (text: string) => canary.foundIn(text).forEach((name) => written.add(name)),
    check: () => {
      if (written.size > 0) throw new Error(`the gateway wrote what is secret: ${[...written].join(', ')}`)
    },
  }
}
