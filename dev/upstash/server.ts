import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectRedis, type Redis } from './resp.ts'
import { makeRestListener } from './rest.ts'

export interface Upstash {
  /** What `UPSTASH_REDIS_REST_URL` is set to. */
  readonly url: string
  /** What `UPSTASH_REDIS_REST_TOKEN` is set to. */
  readonly token: string
  readonly redisPid: number
  /** Ends the server and its Redis and deletes what they left; idempotent. */
  readonly stop: () => Promise<void>
}

// Whatever ends this process, it leaves no Redis behind.
const running = new Set<ChildProcess>()
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')))

const START_TIMEOUT_MS = 10_000

/**
 * A real, empty `redis-server` that keeps nothing on disk, behind Upstash's REST protocol on 127.0.0.1 (`port`, or a free one).
 * Redis listens on a unix socket in a private folder: no second port to race for, and none that is open without the token.
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

/** Tries until Redis answers; rejects as soon as its process has ended. */
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
      await new Promise((passed) => setTimeout(passed, 10))
    }
  }
  throw ended ?? new Error(`redis-server did not answer within ${START_TIMEOUT_MS} ms`)
}

function listen(server: Server, port: number): Promise<Server> {
  return new Promise((listening, failed) => {
    server.once('error', failed)
    server.listen(port, '127.0.0.1', () => listening(server))
  })
}
