import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Whether gateway and load run on a core each. On a machine with one core they share it. */
export const PINNED = process.platform === 'linux' && availableParallelism() > 1
const GATEWAY_CORE = '0'
const LOAD_CORE = '1'
const pin = (core: string) => (PINNED ? ['taskset', '-c', core] : [])

/** The command that starts a measured process on its core. */
export const GATEWAY_LAUNCHER = pin(GATEWAY_CORE)

/** Moves this process, which runs the origin, to the core of the load. */
export function pinThisProcess(): void {
  if (PINNED) spawnSync('taskset', ['-a', '-cp', LOAD_CORE, String(process.pid)])
}

/** Installs the Debian package `name` unless a program of that name exists. Throws when that fails. */
export function needProgram(name: string): void {
  if (spawnSync('which', [name]).status === 0) return
  console.error(`Installing ${name} (apt-get install ${name})`)
  const installed = spawnSync('apt-get', ['install', '-y', '-qq', name], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (installed.status !== 0) throw new Error(`The benchmark needs ${name}: apt-get install ${name}`)
}

/** The result of one run under load. */
export interface Load {
  readonly requests: number
  readonly perSecond: number
  readonly p50Us: number
  readonly p99Us: number
}

/** One run under load. */
export interface LoadOptions {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly connections: number
  readonly seconds: number
  /** Whether the load stays on its core. Default true. */
  readonly isPinned?: boolean
}

/** Sends requests over `connections` for `seconds`, as fast as they complete. Rejects when a response is not a 2xx or a connection breaks. */
export async function load({ url, headers, connections, seconds, isPinned = true }: LoadOptions): Promise<Load> {
  const size = ['-t', '1', '-c', String(connections), '-d', `${seconds}s`]
  const fields = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const wrk = ['wrk', '--latency', '--timeout', '10s', ...size, ...fields, url]
  const [command, ...args] = [...(isPinned ? pin(LOAD_CORE) : []), ...wrk]
  const { stdout } = await run(command!, args, { timeout: (seconds + 30) * 1000 })
  const failure = /(Non-2xx.*|Socket errors.*)/.exec(stdout)?.[1]
  if (failure !== undefined) throw new Error(`${url}: ${failure}`)
  return {
    requests: Number(valueIn(/(\d+) requests in/, stdout)),
    perSecond: Number(valueIn(/Requests\/sec:\s+([\d.]+)/, stdout)),
    p50Us: parseMicroseconds(valueIn(/^ +50% +(\S+) *$/m, stdout)),
    p99Us: parseMicroseconds(valueIn(/^ +99% +(\S+) *$/m, stdout)),
  }
}

function valueIn(pattern: RegExp, text: string): string {
  const value = pattern.exec(text)?.[1]
  if (value === undefined) throw new Error(`wrk printed no ${pattern.source}:\n${text}`)
  return value
}

const US_PER_UNIT: Readonly<Record<string, number>> = { us: 1, ms: 1_000, s: 1_000_000 }

function parseMicroseconds(text: string): number {
  const [, amount, unit] = /^([\d.]+)(us|ms|s)$/.exec(text) ?? []
  const us = Number(amount) * (US_PER_UNIT[unit ?? ''] ?? NaN)
  // wrk prints 0.00us when it has measured too few requests.
  if (!(us > 0)) throw new Error(`wrk printed the latency ${text}: raise --seconds`)
  return us
}

const TICKS_PER_SECOND = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout) || 100

/** Processor time of process `pid` and its threads so far, user and system, in microseconds (proc(5), `stat`, fields 14 and 15). */
export function cpuUs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1_000_000) / TICKS_PER_SECOND
}

/** Resident memory of process `pid`, in megabytes. */
export function rssMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}
