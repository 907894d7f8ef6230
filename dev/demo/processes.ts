import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'

/** A child that ended although nobody asked it to. */
export interface Casualty {
  readonly name: string
  readonly why: string
}

/** Children that live and end together. */
export interface Processes {
  /** Runs `node` with these arguments; every line that it writes goes to `onLine`. */
  readonly start: (
    name: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
    onLine: (line: string) => void,
  ) => void
  /** Resolves with the first child that ends by itself. */
  readonly casualty: Promise<Casualty>
  /** Ends every child with all that it has started itself: asks first, insists after three seconds. */
  readonly stop: () => Promise<void>
}

const PATIENCE_MS = 3_000

/** No children yet. */
export function makeProcesses(): Processes {
  const children: ChildProcess[] = []
  const { promise: casualty, resolve: report } = Promise.withResolvers<Casualty>()

  function start(name: string, args: readonly string[], env: NodeJS.ProcessEnv, onLine: (line: string) => void): void {
    // A group of its own: a signal reaches what the child started too, and the terminal's Ctrl-C reaches only us.
    const child = spawn(process.execPath, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    children.push(child)
    createInterface(child.stdout).on('line', onLine)
    createInterface(child.stderr).on('line', onLine)
    child.once('error', (error) => report({ name, why: error.message }))
    // `close` comes after `exit`, when its last words have been read.
    child.once('close', (code, signal) => report({ name, why: signal ?? `exit code ${code}` }))
  }

  async function stop(): Promise<void> {
    const ended = Promise.all(children.map(hasEnded))
    for (const child of children) signalGroup(child, 'SIGTERM')
    await Promise.race([ended, new Promise((passed) => setTimeout(passed, PATIENCE_MS).unref())])
    for (const child of children) signalGroup(child, 'SIGKILL')
    await ended
  }

  return { start, casualty, stop }
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
