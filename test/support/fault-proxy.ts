import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** What is wrong with a connection; without any of it bytes pass as they come. Delays, bandwidth and slices are those of answers. */
export interface Faults {
  /** Milliseconds before each chunk. */
  readonly latencyMs?: number
  /** Up to so many milliseconds more, at random. */
  readonly jitterMs?: number
  readonly bytesPerSecond?: number
  readonly slicer?: { readonly bytes: number; readonly pauseMs: number }
  /** RST to both ends once so many bytes of the connection's requests, or answers, have passed. 0: at the first byte, which does not pass. */
  readonly reset?: { readonly of: Way; readonly afterBytes: number }
  /** Accepts and forwards nothing; a connection that has lost bytes so stays silent until it is closed. */
  readonly timeout?: boolean
}

type Way = 'requests' | 'answers'

/** The same for every connection, or chosen by its number, counted from 0; asked at each chunk, so that it must not throw dice. */
type Choice = Faults | ((connection: number) => Faults)

export interface FaultProxy {
  readonly url: string
  readonly port: number
  /** From now on, on connections that are open too. */
  readonly set: (faults: Choice) => void
  /** Resets what is connected and refuses connections until `up`. */
  readonly down: () => Promise<void>
  /** Listens again, on the same port. */
  readonly up: () => Promise<void>
  /** Connections accepted so far, and resets that `reset` has made. */
  readonly seen: () => { readonly connections: number; readonly resets: number }
  readonly stop: () => Promise<void>
}

/** A TCP proxy on loopback before the origin at `url`, with faults that can be changed while it runs. */
export async function startFaultProxy(url: string, initial: Choice = {}): Promise<FaultProxy> {
  const originPort = Number(new URL(url).port)
  const sockets = new Set<Socket>()
  let choice = initial
  let connections = 0
  let resets = 0
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const nth = connections++
    const origin = connect({ port: originPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    const link: Link = {
      faults: () => (typeof choice === 'function' ? choice(nth) : choice),
      isSilent: false,
      cut: () => {
        client.resetAndDestroy()
        origin.resetAndDestroy()
      },
      reset: () => {
        if (!client.destroyed) resets++
        link.cut()
      },
    }
    for (const socket of [client, origin]) {
      sockets.add(socket)
      socket.on('error', link.cut).on('close', () => sockets.delete(socket))
    }
    pump(client, origin, 'requests', link).catch(link.cut)
    pump(origin, client, 'answers', link).catch(link.cut)
  })
  const listen = (port: number) => once(server.listen(port, '127.0.0.1'), 'listening')
  const close = async () => {
    const closed = server.listening ? once(server, 'close') : undefined
    server.close()
    for (const socket of sockets) socket.resetAndDestroy()
    await closed
  }
  await listen(0)
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    set: (faults) => void (choice = faults),
    down: close,
    up: async () => void (await listen(port)),
    seen: () => ({ connections, resets }),
    stop: close,
  }
}

/** Both ends of one proxied connection. */
interface Link {
  readonly faults: () => Faults
  isSilent: boolean
  readonly cut: () => void
  readonly reset: () => void
}

/** Long enough for the other end to read what has passed, before the reset takes the connection away, in milliseconds. */
const BEFORE_RESET_MS = 20

async function pump(from: Socket, to: Socket, way: Way, link: Link): Promise<void> {
  let passed = 0
  for await (const chunk of from as AsyncIterable<Buffer>) {
    const { reset, timeout, ...pace } = link.faults()
    link.isSilent ||= timeout === true
    // Read on, or nobody would notice that this end has gone.
    if (link.isSilent) continue
    const room = reset?.of === way ? Math.max(0, reset.afterBytes - passed) : Infinity
    passed += chunk.length
    if (way === 'requests') await write(to, chunk.subarray(0, room))
    else await writePaced(to, chunk.subarray(0, room), pace)
    if (chunk.length < room) continue
    if (room > 0) await sleep(BEFORE_RESET_MS)
    return link.reset()
  }
  to.end()
}

async function writePaced(to: Socket, bytes: Buffer, pace: Omit<Faults, 'reset' | 'timeout'>): Promise<void> {
  const { latencyMs = 0, jitterMs = 0, bytesPerSecond = Infinity, slicer } = pace
  if (latencyMs + jitterMs > 0) await sleep(latencyMs + Math.random() * jitterMs)
  // Fifty slices a second are a steady flow to whoever reads it.
  const size = Math.max(1, Math.floor(Math.min(slicer?.bytes ?? Infinity, bytesPerSecond / 50, bytes.length)))
  for (let start = 0; start < bytes.length; start += size) {
    const slice = bytes.subarray(start, start + size)
    await write(to, slice)
    const pauseMs = (slicer?.pauseMs ?? 0) + (slice.length / bytesPerSecond) * 1_000
    if (pauseMs > 0) await sleep(pauseMs)
  }
}

/** Rejects when `to` has gone, or goes while it is full. */
async function write(to: Socket, bytes: Buffer): Promise<void> {
  if (to.destroyed) throw new Error('the other end has gone')
  if (bytes.length === 0 || to.write(bytes)) return
  const gone = new AbortController()
  const leave = () => gone.abort()
  to.once('close', leave)
  await once(to, 'drain', { signal: gone.signal }).finally(() => to.off('close', leave))
}
