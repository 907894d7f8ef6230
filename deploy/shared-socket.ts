import { Worker } from 'node:worker_threads'
import { PortTaken } from './workerd.ts'

/** A listening socket that this process holds and does not serve: processes that inherit its descriptor accept its connections. */
export interface SharedSocket {
  readonly fd: number
  readonly port: number
  /** Frees the port, once no process has the descriptor any more. */
  readonly close: () => Promise<void>
}

/**
 * Node accepts the connections of every server that listens in a thread with an event loop. This thread stops right after `listen`, before its loop
 * can accept one, and stays so until the process ends.
 */
const THREAD = `
const { parentPort, workerData } = require('node:worker_threads')
const server = require('node:net').createServer()
server.on('error', ({ code, message }) => parentPort.postMessage({ code, message }))
server.listen({ ...workerData, backlog: 4096 }, () => {
  parentPort.postMessage({ fd: server._handle.fd, port: server.address().port })
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})`

/**
 * Opens `count` sockets on `ip` and one port; 0 chooses a free one. The kernel spreads connections over them (SO_REUSEPORT): of several processes on
 * one socket, the one that wakes first would accept most. Rejects with `PortTaken` when another process listens there.
 */
export async function openSharedSockets(ip: string, port: number, count: number): Promise<SharedSocket[]> {
  const first = await openSocket(ip, port, false)
  if (count === 1) return [first]
  // With SO_REUSEPORT alone, two gateways would share a port without a word.
  await first.close()
  return Promise.all(Array.from({ length: count }, () => openSocket(ip, first.port, true)))
}

function openSocket(ip: string, port: number, reusePort: boolean): Promise<SharedSocket> {
  const thread = new Worker(THREAD, { eval: true, workerData: { host: ip, port, reusePort } })
  type Message = Pick<SharedSocket, 'fd' | 'port'> | { readonly code: string; readonly message: string }
  return new Promise((resolve, reject) => {
    thread.once('message', (message: Message) => {
      // It does not keep this process alive.
      thread.unref()
      if ('fd' in message) resolve({ ...message, close: async () => void (await thread.terminate()) })
      else reject(message.code === 'EADDRINUSE' ? new PortTaken(port) : new Error(message.message))
    })
    thread.once('error', reject)
  })
}
