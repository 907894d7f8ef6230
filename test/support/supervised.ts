import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { superviseGateway, type RunningGateway, type SupervisorOptions } from '../../deploy/supervisor.ts'

export interface Supervised extends RunningGateway {
  /** Replaces the content of the routes file; `version` is added unless it is a text. */
  readonly write: (routes: object | string) => void
  /** What was written to standard error. */
  readonly stderr: () => string
}

/** A gateway as `npm run serve` runs it, with all its processes; the state goes with it. */
export async function startSupervised(
  routes: object,
  { env = {}, ...options }: Partial<SupervisorOptions> = {},
): Promise<Supervised> {
  const folder = mkdtempSync(join(tmpdir(), 'umbral-supervised-'))
  const file = join(folder, 'routes.json')
  const write = (content: object | string) =>
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify({ version: 1, ...content }))
  write(routes)
  let text = ''
  const stderr = new PassThrough().on('data', (chunk: Buffer) => (text += chunk.toString()))
  const gateway = await superviseGateway({
    routes: file,
    ip: '127.0.0.1',
    port: 0,
    stateDir: join(folder, 'state'),
    workers: undefined,
    stateAt: undefined,
    stateListen: undefined,
    drainMs: 5_000,
    stdout: 'pipe',
    env: { LOG_LEVEL: 'error', ...env },
    stderr,
    ...options,
  })
  return {
    ...gateway,
    write,
    stderr: () => text,
    stop: async () => {
      await gateway.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The status of one request on a connection of its own, so that any of the processes may accept it; 0 when the connection failed. */
export function statusOf(
  url: string,
  init: { method?: string; headers?: Record<string, string> } = {},
): Promise<number> {
  return new Promise((resolve) => {
    const sent = request(url, { agent: false, ...init }, (response) => {
      response
        .resume()
        .on('end', () => resolve(response.statusCode!))
        .on('error', () => resolve(0))
    })
    sent.on('error', () => resolve(0)).end()
  })
}

/** Sends requests on `connections` kept connections until `stop`, which resolves with how many had which result: a status, or the code of an error. */
export function startLoad(url: string, connections: number): { stop: () => Promise<Record<string, number>> } {
  const results: Record<string, number> = {}
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  let isOver = false
  const send = () =>
    new Promise<string>((resolve) => {
      request(url, { agent }, (response) => {
        response
          .resume()
          .on('end', () => resolve(String(response.statusCode)))
          .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      })
        .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
        .end()
    })
  const loop = async () => {
    while (!isOver) {
      const result = await send()
      results[result] = (results[result] ?? 0) + 1
    }
  }
  const loops = Array.from({ length: connections }, loop)
  return {
    stop: async () => {
      isOver = true
      await Promise.all(loops)
      agent.destroy()
      return results
    },
  }
}
