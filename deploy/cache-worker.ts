/**
 * The store behind `caches.default` and `caches.open()` when the gateway runs under plain workerd: bounded, in memory, lost at a restart.
 * workerd calls it by HTTP: GET reads, PUT stores the HTTP/1.1 response message that is its body, PURGE deletes.
 */

const MAX_TOTAL_BYTES = 64 * 1024 ** 2
const MAX_ENTRY_BYTES = 8 * 1024 ** 2
/** The approximate memory of an entry besides its text. It counts because many responses have no body. */
const ENTRY_OVERHEAD_BYTES = 1024

interface Entry {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array<ArrayBuffer>
  /** Its memory, with its head and key. */
  readonly bytes: number
  readonly storedAt: number
  /** Epoch milliseconds. */
  readonly expiresAt: number
}

/** In the order of their last use, the oldest first. */
const entries = new Map<string, Entry>()
let totalBytes = 0

export default {
  async fetch(request: Request): Promise<Response> {
    const key = `${request.headers.get('cf-cache-namespace') ?? ''} ${request.url}`
    if (request.method === 'PUT') return put(key, new Uint8Array(await request.arrayBuffer()))
    if (request.method === 'PURGE') return new Response(null, { status: take(key) ? 200 : 404 })
    return get(key)
  },
}

function get(key: string): Response {
  const entry = take(key)
  if (!entry || entry.expiresAt <= Date.now()) {
    return new Response(null, { status: 504, headers: { 'cf-cache-status': 'MISS' } })
  }
  keep(key, entry)
  const headers = new Headers(entry.headers)
  headers.set('cf-cache-status', 'HIT')
  headers.set('age', String(Math.floor(Math.max(0, Date.now() - entry.storedAt) / 1000)))
  return new Response(entry.body, { status: entry.status, headers })
}

function put(key: string, message: Uint8Array<ArrayBuffer>): Response {
  if (message.byteLength > MAX_ENTRY_BYTES) return new Response(null, { status: 413 })
  const entry = parseMessage(message, key.length)
  if (!entry) return new Response(null, { status: 400 })
  take(key)
  keep(key, entry)
  for (const oldest of entries.keys()) {
    if (totalBytes <= MAX_TOTAL_BYTES) break
    take(oldest)
  }
  return new Response(null, { status: 204 })
}

function take(key: string): Entry | undefined {
  const entry = entries.get(key)
  if (entry && entries.delete(key)) totalBytes -= entry.bytes
  return entry
}

function keep(key: string, entry: Entry): void {
  entries.set(key, entry)
  totalBytes += entry.bytes
}

/** workerd sends the body unframed, whatever the `Transfer-Encoding` of the message. */
const FRAMING = new Set(['content-length', 'transfer-encoding', 'connection'])

function parseMessage(message: Uint8Array<ArrayBuffer>, keyLength: number): Entry | undefined {
  const end = endOfHead(message)
  // One byte is one character: header values are not necessarily UTF-8.
  const [statusLine = '', ...lines] = String.fromCharCode(...message.subarray(0, end)).split('\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1])
  if (!(status >= 200 && status <= 599)) return undefined
  const headers = new Headers()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon)
    if (!FRAMING.has(name.toLowerCase())) headers.append(name, line.slice(colon + 1).trim())
  }
  const now = Date.now()
  const bytes = message.byteLength + keyLength + ENTRY_OVERHEAD_BYTES
  return { status, headers, body: message.slice(end + 4), bytes, storedAt: now, expiresAt: now + lifetimeMs(headers) }
}

/** Where the blank line before the body begins. */
function endOfHead(message: Uint8Array): number {
  for (let at = message.indexOf(13); at !== -1; at = message.indexOf(13, at + 1)) {
    if (message[at + 1] === 10 && message[at + 2] === 13 && message[at + 3] === 10) return at
  }
  return message.byteLength
}

/** The gateway decides freshness. This only drops entries that it cannot use any more. */
function lifetimeMs(headers: Headers): number {
  const control = headers.get('cache-control') ?? ''
  const seconds = /s-maxage=(\d+)/i.exec(control)?.[1] ?? /max-age=(\d+)/i.exec(control)?.[1]
  return seconds === undefined ? Infinity : Number(seconds) * 1000
}
