/** Why a body could not be read whole: it has more bytes than allowed, took longer than allowed, or its sender ended it early. */
export type BodyFailure = 'too-large' | 'timeout' | 'aborted'

/** The type of a body before it is read. */
export type Body = ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | null

/** How long a body may take, in milliseconds: without a byte, and in all, which may be `Infinity`. */
interface ReadLimits {
  readonly idleMs: number
  readonly totalMs: number
}

/** A client that sends nothing for 10 s has stopped; one that sends a byte now and then must not hold the request for ever. */
const REQUEST_LIMITS: ReadLimits = { idleMs: 10_000, totalMs: 30_000 }

/**
 * All bytes of a client's `body`, which has 10 s to send its next byte and 30 s in all. The rest is cancelled as soon as more than `maxBytes` have
 * arrived, or when it is late. Never rejects.
 */
export function readRequestBytes(body: Body, maxBytes: number): Promise<Uint8Array<ArrayBuffer> | BodyFailure> {
  return readBytes(body, maxBytes, REQUEST_LIMITS)
}

/** All bytes of `body`; none for null. The rest is cancelled as soon as more than `maxBytes` have arrived, or a limit has passed. Never rejects. */
export async function readBytes(
  body: Body,
  maxBytes: number,
  limits?: ReadLimits,
): Promise<Uint8Array<ArrayBuffer> | BodyFailure> {
  if (body === null) return new Uint8Array()
  if (body instanceof Uint8Array) return body.byteLength > maxBytes ? 'too-large' : body
  const reader = body.getReader()
  const cancel = () => void reader.cancel().catch(() => {})
  const timer = limits && startReadTimer(limits, cancel)
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      length += chunk.value.byteLength
      if (length > maxBytes) {
        cancel()
        return 'too-large'
      }
      chunks.push(chunk.value)
      timer?.progress()
    }
  } catch {
    // When cancelled, a stream of the runtime rejects the pending read; a stream made in JavaScript ends.
    return timer?.isLate() ? 'timeout' : 'aborted'
  } finally {
    timer?.stop()
  }
  return timer?.isLate() ? 'timeout' : concatBytes(chunks, length)
}

/** Calls `onLate` once, when `idleMs` have passed since the last `progress`, or `totalMs` since the start. */
function startReadTimer({ idleMs, totalMs }: ReadLimits, onLate: () => void) {
  let isLate = false
  const expire = () => {
    isLate = true
    stop()
    onLate()
  }
  const total = totalMs === Infinity ? undefined : setTimeout(expire, totalMs)
  let idle = setTimeout(expire, idleMs)
  const stop = () => {
    clearTimeout(total)
    clearTimeout(idle)
  }
  return {
    isLate: () => isLate,
    stop,
    progress() {
      if (isLate) return
      clearTimeout(idle)
      idle = setTimeout(expire, idleMs)
    },
  }
}

/** `chunks` one after the other; `length` is the sum of their lengths. */
export function concatBytes(chunks: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.byteLength
  }
  return bytes
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })

/** The text of a response's body, as UTF-8 without a byte order mark. Throws when it has more than `maxBytes`, breaks off, or is not UTF-8. */
export async function readText({ body }: Response, maxBytes: number): Promise<string> {
  const bytes = await readBytes(body as ReadableStream<Uint8Array> | null, maxBytes)
  if (typeof bytes === 'string') throw new RangeError(`the body is ${bytes}`)
  return utf8.decode(bytes)
}

/** Frees the connection of a response whose body is not read. */
export function discardBody({ body }: Response): void {
  body?.cancel().catch(() => {})
}

/** Reads and discards `body` until its end, until more than `maxBytes` have arrived, or for `timeoutMs` milliseconds. Never rejects. */
export async function discardBytes(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
  timeoutMs: number,
): Promise<void> {
  const reader = body.getReader()
  const cancel = () => void reader.cancel().catch(() => {})
  const timer = setTimeout(cancel, timeoutMs)
  let length = 0
  try {
    for (let chunk = await reader.read(); !chunk.done && length <= maxBytes; chunk = await reader.read())
      length += chunk.value.byteLength
    if (length > maxBytes) cancel()
  } catch {
    // The client disconnected, or the time is over.
  } finally {
    clearTimeout(timer)
  }
}
