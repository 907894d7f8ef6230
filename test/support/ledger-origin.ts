import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Behaviour, Entry } from './ledger-origin-process.ts'

/** A real origin in a process of its own, which can be killed and stopped, with a ledger that outlives it. */
export interface LedgerOrigin {
  readonly url: string
  readonly port: number
  /** What has arrived, oldest first. */
  readonly ledger: () => readonly Entry[]
  /** Resolves once it does so with whatever arrives. */
  readonly behave: (behaviour: Behaviour) => Promise<void>
  /** SIGKILL. */
  readonly kill: () => Promise<void>
  /** Starts it again after `kill`: same port, same ledger, healthy. */
  readonly restart: () => Promise<void>
  /** SIGSTOP: the kernel still accepts connections for it. */
  readonly freeze: () => void
  /** SIGCONT. */
  readonly thaw: () => void
  readonly stop: () => Promise<void>
}

/** A stopped process does not notice that the one which started it has ended. */
const running = new Set<ChildProcess>()
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')))

export async function startLedgerOrigin(): Promise<LedgerOrigin> {
  const folder = mkdtempSync(join(tmpdir(), 'umbral-origin-'))
  const file = join(folder, 'ledger.jsonl')
  writeFileSync(file, '')
  let { child, port } = await spawnOrigin(0, file)
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    ledger: () => readLedger(file),
    behave: async (behaviour) => {
      const changed = once(child, 'message')
      child.send(behaviour)
      await changed
    },
    kill,
    restart: async () => void ({ child, port } = await spawnOrigin(port, file)),
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    stop: async () => {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function spawnOrigin(port: number, file: string): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(join(import.meta.dirname, 'ledger-origin-process.ts'), [String(port), file], { execArgv: [] })
  running.add(child)
  child.once('exit', () => running.delete(child))
  const address = await Promise.race([
    once(child, 'message').then(([message]) => message as AddressInfo),
    once(child, 'exit').then(() => Promise.reject(new Error(`The origin did not start on port ${port}`))),
  ])
  return { child, port: address.port }
}

function readLedger(file: string): Entry[] {
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Entry)
}
