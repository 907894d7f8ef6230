import * as fs from 'node:fs'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stateConfig, workerdConfig } from './config.ts'
import { prepareGateway, type PreparedGateway, type RoutesSource } from './gateway.ts'
import { keepRunning, type KeptProcess } from './kept-process.ts'
import { openSharedSockets, type SharedSocket } from './shared-socket.ts'
import { startWorkerd, type Workerd, type WorkerdOptions } from './workerd.ts'

/** How to run a gateway. */
export interface SupervisorOptions extends RoutesSource {
  readonly ip: string
  readonly port: number
  readonly stateDir: string
  /**
   * How many processes serve clients. They share the port, and the Durable Objects are in a process of their own. Undefined: one process that also
   * owns the objects.
   */
  readonly workers: number | undefined
  /** `host:port` where the objects are, for a gateway that has none; undefined when they are here. */
  readonly stateAt: string | undefined
  /** `host:port` where gateways on other machines reach the objects here. */
  readonly stateListen: string | undefined
  readonly drainMs: number | undefined
  readonly stdout: WorkerdOptions['stdout']
  /** Receives what the processes write to standard error, and a line when one of them ended. */
  readonly stderr: NodeJS.WritableStream
}

/** A running gateway with all its processes. */
export interface RunningGateway {
  readonly url: string
  readonly port: number
  /** The processes that serve clients, and the one that owns the objects where that is another; those that run now. */
  readonly processes: () => { readonly workers: readonly Workerd[]; readonly state: Workerd | undefined }
  /** Takes the routes file again in all processes. Rejects with the reason, and changes nothing, when it is invalid. */
  readonly reload: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** Starts the processes of a gateway and starts each again that ends. Rejects with a message for the operator when the routes file is invalid. */
export async function superviseGateway(options: SupervisorOptions): Promise<RunningGateway> {
  // Unix sockets need short paths; mkdtemp makes a folder that only this user can enter.
  const folder = fs.mkdtempSync(join(tmpdir(), 'umbral-'))
  const started: { readonly stop: () => Promise<void> }[] = []
  const stop = async () => {
    // In reverse: the objects are there until the last request has ended.
    for (const part of started.toReversed()) await part.stop()
    fs.rmSync(folder, { recursive: true, force: true })
  }
  try {
    return await startParts(options, folder, started, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

async function startParts(
  options: SupervisorOptions,
  folder: string,
  started: { readonly stop: () => Promise<void> }[],
  stop: () => Promise<void>,
): Promise<RunningGateway> {
  let prepared = await prepareGateway(options, folder)
  const sockets = await openSharedSockets(options.ip, options.port, options.workers ?? 1)
  const [{ port }] = sockets as [SharedSocket]
  started.push(...sockets.map(({ close }) => ({ stop: close })))
  const log = (line: string) => void options.stderr.write(`${line}\n`)
  const start = async (
    parts: Pick<WorkerdOptions, 'config' | 'socket'> & { readonly stateDir?: string | undefined },
  ) => {
    const { ip, drainMs, env, stdout } = options
    const workerd = await startWorkerd({ ip, port, drainMs, env, stdout, ...parts })
    workerd.stderr.pipe(options.stderr, { end: false })
    return workerd
  }
  const reload = oneAtATime(async () => {
    const next = await prepareGateway(options, folder)
    for (const { current, control } of workers) if (current()) await sendRoutes(control, next)
    fs.rmSync(prepared.routesText)
    prepared = next
  })

  const supervisorSocket = join(folder, 'supervisor.sock')
  started.push(await listenForReloads(supervisorSocket, reload))
  const ownsObjects = options.workers === undefined
  const stateSocket = join(folder, 'state.sock')
  const startState = () => {
    fs.rmSync(stateSocket, { force: true })
    const addresses = [`unix:${stateSocket}`, ...(options.stateListen === undefined ? [] : [options.stateListen])]
    const config = stateConfig(prepared.gateway, prepared.cache, addresses)
    return start({ config, socket: 'none', stateDir: options.stateDir })
  }
  const hasState = !ownsObjects && options.stateAt === undefined
  const state = hasState ? await keepRunning('The process of the objects', startState, log) : undefined
  if (state) started.push(state)

  const startWorker = (control: string, socket: number) => () => {
    fs.rmSync(control, { force: true })
    const config = workerdConfig(prepared.gateway, prepared.cache, {
      control: `unix:${control}`,
      supervisor: `unix:${supervisorSocket}`,
      ...(!ownsObjects && { state: options.stateAt ?? `unix:${stateSocket}` }),
    })
    return start({ config, socket, stateDir: ownsObjects ? options.stateDir : undefined })
  }
  const workers: (KeptProcess & { readonly control: string })[] = []
  for (const [nth, { fd }] of sockets.entries()) {
    const control = join(folder, `worker-${nth}.sock`)
    const worker = await keepRunning(`Worker ${nth + 1}`, startWorker(control, fd), log)
    workers.push({ ...worker, control })
    started.push(worker)
  }
  const running = () => workers.flatMap(({ current }) => current() ?? [])
  return {
    url: running()[0]!.url,
    port,
    processes: () => ({ workers: running(), state: state?.current() }),
    reload,
    stop,
  }
}

/** Calls of `run` one after the other; each gets the result of its own. */
function oneAtATime(run: () => Promise<void>): () => Promise<void> {
  let last: Promise<void> = Promise.resolve()
  return () => {
    const next = last.catch(() => {}).then(run)
    last = next
    return next
  }
}

/** The server to which a process passes on an operator's `POST /admin/reload`. */
async function listenForReloads(path: string, reload: () => Promise<void>): Promise<{ stop: () => Promise<void> }> {
  const server = createServer((_, response) => {
    reload().then(
      () => response.writeHead(204).end(),
      (error: Error) => response.writeHead(409, { 'content-type': 'text/plain; charset=utf-8' }).end(error.message),
    )
  })
  await new Promise<void>((listening) => server.listen(path, listening))
  return {
    stop: () =>
      new Promise((stopped) => {
        server.close(() => stopped())
        server.closeAllConnections()
      }),
  }
}

/** Gives a process another routes file. Rejects with its reason when it cannot run it. */
function sendRoutes(control: string, { routes, variables }: PreparedGateway): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath: control, method: 'PUT' }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        if (response.statusCode === 204) resolve()
        else reject(new Error(Buffer.concat(chunks).toString()))
      })
    })
    sent.on('error', reject)
    sent.end(JSON.stringify({ routes, variables }))
  })
}
