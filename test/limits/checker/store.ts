import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { StoreFault } from '../../support/faults.ts'
import type { StoreAnswer, StoreOrder } from './store-process.ts'

/** A Redis behind Upstash's protocol, at an address that outlives it, in a process that neither clients nor gateways keep waiting. */
export interface RunningStore {
  readonly url: string
  readonly token: string
  readonly redisPid: () => number
  /** From now on every command is answered so; undefined: by Redis again. */
  readonly setFault: (fault: StoreFault | undefined) => Promise<void>
  /** Requests since the start. */
  readonly asked: () => Promise<number>
  /** Kills Redis and starts an empty one at the same address. */
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

const running = new Set<ChildProcess>()
process.on('exit', () => running.forEach((child) => child.kill()))

export async function startStore(): Promise<RunningStore> {
  const child = fork(join(import.meta.dirname, 'store-process.ts'), { execArgv: [] })
  running.add(child)
  child.once('exit', () => running.delete(child))
  const gone = once(child, 'exit')
  const answer = async () => {
    const ended = gone.then(() => Promise.reject(new Error('The store has ended')))
    const [message] = (await Promise.race([once(child, 'message'), ended])) as [StoreAnswer]
    return message
  }
  const order = async (what: StoreOrder) => {
    child.send(what)
    latest = await answer()
  }
  let latest = await answer()
  return {
    url: latest.url,
    token: latest.token,
    redisPid: () => latest.redisPid,
    setFault: (fault) => order({ kind: 'fault', fault }),
    asked: async () => {
      await order({ kind: 'report' })
      return latest.asked
    },
    restart: () => order({ kind: 'restart' }),
    stop: async () => {
      child.disconnect()
      await gone
    },
  }
}
