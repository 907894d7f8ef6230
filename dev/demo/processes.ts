import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'

/** A child process that ended without `stop`. */
export interface ProcessExit {
  readonly name: string
  /** The signal, exit code or error. */
  readonly reason: string
}

/** Child processes that are stopped together. */
export interface Processes {
  /** Runs `node` with these arguments; every line that it writes goes to `onLine`. */
  readonly start: (
    name: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
    onLine: (line: string) => void,
  ) => void
  /** Resolves with the first child that ends. */
  readonly firstExit: Promise<ProcessExit>
  /** Ends every child and the processes that it started: with SIGTERM, and after three seconds with SIGKILL. */
  readonly stop: () => Promise<void>
}

const TERM_MS = 3_000

/** Makes an empty group of child processes. */
export function makeProcesses(): Processes {
  const children: ChildProcess[] = []
  const { promise: firstExit, resolve: report } = Promise.withResolvers<ProcessExit>()

  function start(name: string, args: readonly string[], env: NodeJS.ProcessEnv, onLine: (line: string) => void): void {
    // In its own process group, so that a signal also reaches the processes that the child started, and Ctrl-C only this process.
    const child = spawn(process.execPath, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    children.push(child)
    createInterface(child.stdout).on('line', onLine)
    createInterface(child.stderr).on('line', onLine)
    child.once('error', (error) => report({ name, reason: error.message }))
    // `close` follows `exit` when the output has been read to its end.
    child.once('close', (code, signal) => report({ name, reason: signal ?? `exit code ${code}` }))
  }

  async function stop(): Promise<void> {
    const ended = Promise.all(children.map(hasEnded))
    for (const child of children) signalGroup(child, 'SIGTERM')
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, TERM_MS).unref())])
    for (const child of children) signalGroup(child, 'SIGKILL')
    await ended
  }

  return { start, firstExit, stop }
}

async function hasEnded(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  await new Promise((ended) => child.once('exit', ended))
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // The whole group has ended already.
  }
}
