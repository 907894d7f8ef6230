import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { SOCKET, STATE_DISK } from './config.ts'

/** The binary and not a launcher around it, so that the process id is the gateway's. */
const WORKERD = fileURLToPath(import.meta.resolve('workerd/bin/workerd'))
const DRAIN_MS = 30_000
const DIAGNOSTIC_CHARS = 10_000

/** Another process listens on the port. */
export class PortTaken extends Error {
  readonly port: number

  constructor(port: number) {
    super(`Port ${port} is taken`)
    this.port = port
  }
}

/** The processes that end with this one, for callers that do not stop them, such as an aborted test run. */
const running = new Set<ChildProcess>()
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')))

/** How to start a workerd process. */
export interface WorkerdOptions {
  /** The result of `workerdConfig` or `stateConfig`. */
  readonly config: string
  /** The folder of the Durable Objects; created when it does not exist. Undefined for a process that owns none. */
  readonly stateDir?: string | undefined
  readonly ip: string
  /** 0 chooses a free port. */
  readonly port: number
  /** The descriptor of a socket that listens at this address already; `none` for a process that serves no clients. Default: it opens its own. */
  readonly socket?: number | 'none'
  /** How long requests in flight may take at `stop`, in milliseconds. Default 30 s. */
  readonly drainMs?: number | undefined
  readonly env: NodeJS.ProcessEnv
  /** The destination of the access log: the stdout of this process, a pipe, or a file descriptor. */
  readonly stdout: 'inherit' | 'pipe' | number
  /** A command that replaces itself by the command in its further arguments, such as `taskset -c 0`. */
  readonly launcher?: readonly string[]
}

/** A running workerd process. */
export interface Workerd {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** Null unless it is piped. */
  readonly stdout: Readable | null
  /** Warnings and errors, the runtime's own among them. */
  readonly stderr: Readable
  /** Resolves with the exit code or signal when the process has ended. */
  readonly ended: Promise<number | NodeJS.Signals>
  /** Accepts no more requests and lets those in flight finish, for 30 s at most. */
  readonly stop: () => Promise<void>
  /** Ends the process with SIGKILL. */
  readonly kill: () => Promise<void>
}

/** Starts one workerd and resolves once it listens; rejects with the reason when it ends before that. */
export async function startWorkerd(options: WorkerdOptions): Promise<Workerd> {
  const { ip, port: requestedPort } = options
  const stateDir = options.stateDir === undefined ? undefined : resolve(options.stateDir)
  const folder = fs.mkdtempSync(join(tmpdir(), 'umbral-'))
  const configFile = join(folder, 'config.capnp')
  let starting: string | undefined
  try {
    if (stateDir !== undefined) starting = claim(stateDir)
    fs.writeFileSync(configFile, options.config)
    const child = spawnWorkerd(configFile, stateDir, options)
    let diagnostic = ''
    child.stderr.on('data', (chunk: Buffer) => (diagnostic = (diagnostic + chunk).slice(-DIAGNOSTIC_CHARS)))
    running.add(child)
    child.once('exit', () => running.delete(child))
    const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
    const port = await listeningPort(child.control)
    if (port === undefined) {
      await ended
      throw startError(diagnostic, requestedPort)
    }
    if (stateDir !== undefined) fs.writeFileSync(join(stateDir, OWNER), String(child.pid))
    const end = async (signal: NodeJS.Signals) => {
      child.kill(signal)
      const timer = setTimeout(() => child.kill('SIGKILL'), options.drainMs ?? DRAIN_MS)
      await ended
      clearTimeout(timer)
    }
    return {
      url: `http://${hostOf(ip)}:${port}`,
      port,
      pid: child.pid!,
      stdout: child.stdout,
      stderr: child.stderr,
      ended,
      stop: () => end('SIGTERM'),
      kill: () => end('SIGKILL'),
    }
  } finally {
    if (starting !== undefined) fs.rmSync(starting)
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

function spawnWorkerd(configFile: string, stateDir: string | undefined, options: WorkerdOptions) {
  const { socket, ip, port } = options
  // `-I /` lets the configuration name files by their absolute path.
  const workerd = [WORKERD, 'serve', configFile, '-I', '/', '--control-fd', '3']
  const locations = [
    ...(socket === undefined ? ['--socket-addr', `${SOCKET}=${hostOf(ip)}:${port}`] : []),
    ...(typeof socket === 'number' ? ['--socket-fd', `${SOCKET}=4`] : []),
    ...(stateDir === undefined ? [] : ['--directory-path', `${STATE_DISK}=${stateDir}`]),
  ]
  const [command, ...args] = [...(options.launcher ?? []), ...workerd, ...locations]
  const inherited = typeof socket === 'number' ? [socket] : []
  const child = spawn(command!, args, {
    env: options.env,
    stdio: ['ignore', options.stdout, 'pipe', 'pipe', ...inherited],
  })
  return Object.assign(child, { stderr: child.stderr as Readable, control: child.stdio[3] as Readable })
}

/** workerd writes one JSON line on its control descriptor for each socket that it listens on, in the order of its configuration. Undefined when it ends before the first. */
async function listeningPort(control: Readable): Promise<number | undefined> {
  for await (const line of createInterface({ input: control })) {
    const message = JSON.parse(line) as { event: string; port?: number }
    if (message.event === 'listen') return message.port
  }
  return undefined
}

/** The error of a failed start: a taken port, or the Worker's own message, or else the whole diagnostic output. */
function startError(diagnostic: string, port: number): Error {
  if (diagnostic.includes('Address already in use')) return new PortTaken(port)
  const refusal = /^service gateway: Uncaught Error: (.+)$/m.exec(diagnostic)?.[1]
  return new Error(`The gateway did not start: ${refusal ?? diagnostic.trim()}`)
}

/** The file with the process id of the workerd that uses the folder. */
const OWNER = 'owner.pid'
/** The file of a process that is starting one: its process id and start time. */
const STARTING = 'starting.pid'

/**
 * Claims the folder for one process. Two processes on one folder would each run their own instance of every Durable Object, so that limits would count
 * apart. Returns the file that blocks other claims; remove it when the owner's file is written. Without /proc an owner is not found.
 */
function claim(stateDir: string): string {
  fs.mkdirSync(stateDir, { recursive: true })
  const starting = join(stateDir, STARTING)
  const starter = readText(starting)
  if (starter !== undefined && !isRunning(starter)) fs.rmSync(starting, { force: true })
  try {
    fs.writeFileSync(starting, identityOf(String(process.pid)), { flag: 'wx' })
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'EEXIST'
      ? inUse(stateDir, readText(starting)?.split(' ')[0])
      : error
  }
  const owner = readText(join(stateDir, OWNER))
  // The command line distinguishes a running owner from another process with a reused number.
  if (owner !== undefined && readText(`/proc/${owner}/cmdline`)?.includes(`${STATE_DISK}=${stateDir}\0`)) {
    fs.rmSync(starting)
    throw inUse(stateDir, owner)
  }
  return starting
}

function inUse(stateDir: string, pid: string | undefined): Error {
  return new Error(`The state folder ${stateDir} is in use by process ${pid}; name another with --state`)
}

function isRunning(identity: string): boolean {
  const [pid] = identity.split(' ')
  try {
    process.kill(Number(pid), 0)
  } catch {
    return false
  }
  return identity === identityOf(pid!)
}

/** The process id and start time (proc(5), `stat`, field 22), which distinguish a process from a later one with the same id. */
function identityOf(pid: string): string {
  const stat = readText(`/proc/${pid}/stat`)
  return `${pid} ${stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 'ended'}`
}

function readText(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

const hostOf = (ip: string) => (ip.includes(':') ? `[${ip}]` : ip)
