import { Worker } from 'node:worker_threads'
import { PortTaken } from './workerd.ts'

/** A listening socket that this process holds and does not serve: processes that inherit its descriptor accept its connections. */
export interface SharedSocket {
  readonly fd: number
  readonly port: number
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

/** Opens a socket on `ip` and `port`; 0 chooses a free one. Rejects with `PortTaken` when another process listens there. */
export function openSharedSocket(ip: string, port: number): Promise<SharedSocket> {
  const thread = new Worker(THREAD, { eval: true, workerData: { host: ip, port } })
  // It holds the socket for as long as this process lives, and does not keep it alive.
  thread.unref()
  return new Promise((resolve, reject) => {
    thread.on('message', (message: SharedSocket | { readonly code: string; readonly message: string }) => {
      if ('fd' in message) resolve(message)
      else reject(message.code === 'EADDRINUSE' ? new PortTaken(port) : new Error(message.message))
    })
    thread.on('error', reject)
  })
}
