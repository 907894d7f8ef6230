import { createConnection } from 'node:net'

/** An error reply to one command; the connection stays open. */
export class RedisError extends Error {}

/** A reply in RESP2: status lines are text, bulk strings stay bytes. */
export type Reply = string | Uint8Array | number | null | RedisError | Reply[]

/** A connection to Redis. */
export interface Redis {
  /** Sends the commands in one write, so that no command of another caller comes between them. Rejects when the connection is lost. */
  readonly send: (commands: readonly (readonly string[])[]) => Promise<Reply[]>
  readonly close: () => void
}

interface PendingReply {
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
}

/** Connects a pipelining client to the Redis that listens on the unix socket `path`. */
export async function connectRedis(path: string): Promise<Redis> {
  const socket = createConnection({ path })
  await new Promise<void>((connected, failed) => socket.once('connect', connected).once('error', failed))
  const queue: PendingReply[] = []
  let unread = Buffer.alloc(0)
  let lost = false
  socket.on('data', (chunk: Buffer) => {
    unread = Buffer.concat([unread, chunk])
    let at = 0
    for (let read = readReply(unread, 0); read !== undefined; read = readReply(unread, at)) {
      queue.shift()?.resolve(read.reply)
      at = read.end
    }
    unread = unread.subarray(at)
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    lost = true
    for (const pending of queue.splice(0)) pending.reject(new Error('The connection to Redis is lost'))
  })
  return {
    send(commands) {
      if (lost) return Promise.reject(new Error('The connection to Redis is lost'))
      const replies = commands.map(() => new Promise<Reply>((resolve, reject) => queue.push({ resolve, reject })))
      socket.write(commands.map(encodeCommand).join(''))
      return Promise.all(replies)
    },
    close: () => socket.destroy(),
  }
}

function encodeCommand(parts: readonly string[]): string {
  return `*${parts.length}\r\n${parts.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`
}

/** The reply that starts at `at`, and where the next one starts; undefined until it has arrived completely. */
function readReply(bytes: Buffer, at: number): { reply: Reply; end: number } | undefined {
  const lineEnd = bytes.indexOf('\r\n', at)
  if (lineEnd === -1) return undefined
  const line = bytes.toString('utf8', at + 1, lineEnd)
  const end = lineEnd + 2
  switch (bytes[at]) {
    case 0x2b: // +
      return { reply: line, end }
    case 0x2d: // -
      return { reply: new RedisError(line), end }
    case 0x3a: // :
      return { reply: Number(line), end }
    case 0x24: // $
      return readBulk(bytes, end, Number(line))
    case 0x2a: // *
      return readArray(bytes, end, Number(line))
    default:
      throw new Error('Redis sent a reply that is not RESP2')
  }
}

function readBulk(bytes: Buffer, at: number, length: number): { reply: Reply; end: number } | undefined {
  if (length === -1) return { reply: null, end: at }
  const end = at + length + 2
  return end > bytes.length ? undefined : { reply: bytes.subarray(at, end - 2), end }
}

function readArray(bytes: Buffer, at: number, length: number): { reply: Reply; end: number } | undefined {
  if (length === -1) return { reply: null, end: at }
  const items: Reply[] = []
  let end = at
  while (items.length < length) {
    const item = readReply(bytes, end)
    if (item === undefined) return undefined
    items.push(item.reply)
    end = item.end
  }
  return { reply: items, end }
}
