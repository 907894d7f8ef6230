import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startGatewayProcess } from '../../deploy/gateway.ts'

export interface RunningGateway {
  readonly url: string
  readonly port: number
  /** The process id of workerd itself. */
  readonly pid: number
  /** The access log so far. A line is written at about the time of the answer: wait for it. */
  readonly logs: () => readonly Record<string, unknown>[]
  /** What else it had to say: warnings, errors, and the runtime's own. */
  readonly stderr: () => string
  /** Lets requests in flight finish. */
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
  const lines: Record<string, unknown>[] = []
  createInterface({ input: gateway.stdout! }).on('line', (line) => {
    if (line.startsWith('{')) lines.push(JSON.parse(line) as Record<string, unknown>)
  })
  let stderr = ''
  gateway.stderr.on('data', (chunk: Buffer) => void (stderr += chunk.toString()))
  return {
    url: gateway.url,
    port: gateway.port,
    pid: gateway.pid,
    logs: () => lines.filter((line) => line.event === 'request'),
    stderr: () => stderr,
    stop: () => gateway.stop().finally(cleanUp),
    kill: () => gateway.kill().finally(cleanUp),
  }
}
