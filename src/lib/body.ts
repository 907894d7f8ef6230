/** Why a body could not be read whole: it has more bytes than allowed, took longer than allowed, or its sender ended it early. */
export type BodyFailure = 'too-large' | 'timeout' | 'aborted'

/** The type of a body before it is read. */
export type Body = ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | null

/**
 * All bytes of `body`; none for null. The rest is cancelled as soon as more than `maxBytes` have arrived, or after `timeoutMs`
 * milliseconds. Never rejects.
 */
export async function readBytes(
  body: Body,
  maxBytes: number,
  timeoutMs = Infinity,
): Promise<Uint8Array<ArrayBuffer> | BodyFailure> {
  if (body === null) return new Uint8Array()
  if (body instanceof Uint8Array) return body.byteLength > maxBytes ? 'too-large' : body
  const reader = body.getReader()
  const cancel = () => void reader.cancel().catch(() => {})
  let isLate = false
  const expire = () => {
    isLate = true
    cancel()
  }
  const timer = timeoutMs === Infinity ? undefined : setTimeout(expire, timeoutMs)
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
    }
  } catch {
    // When cancelled, a stream of the runtime rejects the pending read; a stream made in JavaScript ends.
    return isLate ? 'timeout' : 'aborted'
  } finally {
    clearTimeout(timer)
  }
  return isLate ? 'timeout' : concatBytes(chunks, length)
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
