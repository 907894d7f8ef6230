import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectRedis, type Redis } from './resp.ts'
import { makeRestListener } from './rest.ts'

/** A running server of Upstash's protocol. */
export interface Upstash {
  /** The value for `UPSTASH_REDIS_REST_URL`. */
  readonly url: string
  /** The value for `UPSTASH_REDIS_REST_TOKEN`. */
  readonly token: string
  readonly redisPid: number
  /** Stops the server and its Redis and deletes their folder; idempotent. */
  readonly stop: () => Promise<void>
}

// However this process ends, no Redis keeps running.
const running = new Set<ChildProcess>()
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')))

const START_TIMEOUT_MS = 10_000

/**
 * Starts an empty `redis-server` without persistence behind Upstash's REST protocol on 127.0.0.1 (`port`, or a free one).
 * Redis listens on a unix socket in a private folder, so that no second port can be taken or is open without the token.
 */
export async function startUpstash({ port = 0 }: { port?: number } = {}): Promise<Upstash> {
  const folder = await mkdtemp(join(tmpdir(), 'upstash-'))
  const child = spawnRedis(folder)
  running.add(child)
  const stop = async (redis?: Redis, server?: Server) => {
    running.delete(child)
    child.kill('SIGKILL')
    redis?.close()
    server?.closeAllConnections()
    if (server?.listening) await new Promise((closed) => server.close(closed))
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const redis = await connected(child, join(folder, 'redis.sock'))
    const token = randomBytes(24).toString('base64url')
    const server = await listen(createServer(makeRestListener(redis, token)), port)
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return { url, token, redisPid: child.pid!, stop: () => stop(redis, server) }
  } catch (error) {
    await stop()
    throw error
  }
}

function spawnRedis(folder: string): ChildProcess {
  const flags = ['--port', '0', '--unixsocket', 'redis.sock', '--unixsocketperm', '700', '--dir', folder]
  return spawn('redis-server', [...flags, '--save', '', '--appendonly', 'no', '--daemonize', 'no'], {
    cwd: folder,
    stdio: 'ignore',
  })
}

/** Connects as soon as Redis responds; rejects when its process has ended, or after ten seconds. */
async function connected(child: ChildProcess, socket: string): Promise<Redis> {
  let ended: Error | undefined
  child.once('error', (error: NodeJS.ErrnoException) => {
    ended =
      error.code === 'ENOENT'
        ? new Error(
            'redis-server is not installed: it is the Debian package "redis-server" (apt-get install redis-server)',
          )
        : error
  })
  child.once('exit', (code, signal) => (ended ??= new Error(`redis-server ended at its start (${code ?? signal})`)))
  const deadline = Date.now() + START_TIMEOUT_MS
  while (ended === undefined && Date.now() < deadline) {
    try {
      const redis = await connectRedis(socket)
      await redis.send([['PING']])
      return redis
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  throw ended ?? new Error(`redis-server did not respond within ${START_TIMEOUT_MS} ms`)
}

function listen(server: Server, port: number): Promise<Server> {
  return new Promise((listening, failed) => {
    server.once('error', failed)
    server.listen(port, '127.0.0.1', () => listening(server))
  })
}
