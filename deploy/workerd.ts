import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { SOCKET, STATE_DISK } from './config.ts'

/** The binary itself, not a launcher around it, so that the process id is the gateway's. */
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

/** Whoever starts a gateway and ends without stopping it, a test run for one, leaves none behind. */
const running = new Set<ChildProcess>()
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')))

export interface WorkerdOptions {
  /** What `workerdConfig` wrote. */
  readonly config: string
  readonly ip: string
  /** 0 takes a free port. */
  readonly port: number
  /** Where the Durable Objects live; made when missing. */
  readonly stateDir: string
  readonly env: NodeJS.ProcessEnv
  /** Where the access log goes: this process's own stdout, a pipe, or a file descriptor. */
  readonly stdout: 'inherit' | 'pipe' | number
  /** A command that executes the rest of its arguments in its own place, such as `taskset -c 0`. */
  readonly launcher?: readonly string[]
}

export interface Workerd {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** Null unless it is piped. */
  readonly stdout: Readable | null
  /** Warnings and errors, the runtime's own among them. */
  readonly stderr: Readable
  /** How it ended, when it has. */
  readonly ended: Promise<number | NodeJS.Signals>
  /** Takes no more requests and lets those in flight finish, for 30 s at most. */
  readonly stop: () => Promise<void>
  /** Ends it as a crash would. */
  readonly kill: () => Promise<void>
}

/** Starts one workerd and resolves once it listens; rejects with the reason when it ends before that. */
export async function startWorkerd(options: WorkerdOptions): Promise<Workerd> {
  const { ip, port: wantedPort } = options
  const stateDir = resolve(options.stateDir)
  const folder = fs.mkdtempSync(join(tmpdir(), 'umbral-'))
  const configFile = join(folder, 'config.capnp')
  let starting: string | undefined
  try {
    starting = claim(stateDir)
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
      throw whyNot(diagnostic, wantedPort)
    }
    fs.writeFileSync(join(stateDir, OWNER), String(child.pid))
    const end = async (signal: NodeJS.Signals) => {
      child.kill(signal)
      const tooLong = setTimeout(() => child.kill('SIGKILL'), DRAIN_MS)
      await ended
      clearTimeout(tooLong)
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

function spawnWorkerd(configFile: string, stateDir: string, options: WorkerdOptions) {
  const address = `${hostOf(options.ip)}:${options.port}`
  // `-I /` lets the configuration name files by their absolute path.
  const workerd = [WORKERD, 'serve', configFile, '-I', '/', '--control-fd', '3']
  const places = ['--socket-addr', `${SOCKET}=${address}`, '--directory-path', `${STATE_DISK}=${stateDir}`]
  const [command, ...args] = [...(options.launcher ?? []), ...workerd, ...places]
  const child = spawn(command!, args, { env: options.env, stdio: ['ignore', options.stdout, 'pipe', 'pipe'] })
  return Object.assign(child, { stderr: child.stderr as Readable, control: child.stdio[3] as Readable })
}

/** workerd writes one JSON line on its control descriptor for each socket that it listens on. Undefined when it ends before that. */
async function listeningPort(control: Readable): Promise<number | undefined> {
  for await (const line of createInterface({ input: control })) {
    const message = JSON.parse(line) as { event: string; port?: number }
    if (message.event === 'listen') return message.port
  }
  return undefined
}

/** What its operator can act on: a taken port, or what the Worker itself said when it refused to start; else everything. */
function whyNot(diagnostic: string, port: number): Error {
  if (diagnostic.includes('Address already in use')) return new PortTaken(port)
  const refusal = /^service gateway: Uncaught Error: (.+)$/m.exec(diagnostic)?.[1]
  return new Error(`The gateway did not start: ${refusal ?? diagnostic.trim()}`)
}

/** The process id of the workerd that has the folder. */
const OWNER = 'owner.pid'
/** Whoever is about to start one there: its process id, and when it began. */
const STARTING = 'starting.pid'

/**
 * Two processes on one folder would each run their own copy of every Durable Object, silently: limits would count apart. Returns a file to remove once
 * the owner is known; until then nobody else can claim the folder. Where there is no /proc, an owner is not found.
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
  // The command line tells an owner that lives from a process that merely got its number.
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

/** A process and when it began (proc(5), `stat`, field 22), which tells it from a later one with its number. */
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
