import type { Exchange } from '../core/exchange.ts'
import type { Platform } from '../core/platform.ts'
import { endAttempt, type Attempt } from './attempt.ts'
import { clientFailure } from './outcome.ts'

// Only uploads write here, so that a request without a body costs nothing.
const ends = new WeakMap<Exchange, number>()

/**
 * Epoch milliseconds since which the upload does not wait for the client: when the body was complete, or when the origin stopped
 * reading it. `Infinity` while it waits for the client, `-Infinity` without an upload. An upstream's latency is measured from here:
 * the client determines how fast a body arrives, and the origin whether it is read.
 */
export function uploadEnd(x: Exchange): number {
  return ends.get(x) ?? -Infinity
}

/** Sets what `uploadEnd` returns. */
export function markUploadEnd(x: Exchange, end: number): void {
  ends.set(x, end)
}

/**
 * Wraps the client's `body` for fetch, so that the gateway can distinguish which end broke an upload.
 *
 * There are two reasons. fetch fails in the same way when the client breaks off its upload and when the origin fails, and only the
 * second may count against the upstream. And workerd ends a chunked upload whose stream *errors* as if it were complete: an origin would act on
 * the first half of a body. So a broken stream never reaches fetch; the try is aborted instead.
 */
export function watchUpload(
  x: Exchange,
  body: ReadableStream<Uint8Array>,
  attempt: Attempt,
  now: () => number,
): ReadableStream<Uint8Array> {
  const length = x.outgoing.headers['content-length']
  // A known length is sent to the origin as Content-Length; not every origin accepts chunked requests.
  const { readable, writable } =
    length === undefined ? new IdentityTransformStream() : new FixedLengthStream(Number(length))
  const waitsForClient = (waits: boolean) => markUploadEnd(x, waits ? Infinity : now())
  void pump(body, writable, waitsForClient).then((end) => {
    if (end === 'broken') endAttempt(attempt, 'upload-broken')
  })
  return readable
}

/**
 * Moves a body chunk by chunk. Never rejects: resolves with `sent`, with `broken` when the client's end failed first, or with `refused`
 * when the origin's end did (fetch itself rejects with the reason then). `pipeTo` does not distinguish the two. Calls `waitsForClient`
 * before each wait.
 */
async function pump(
  body: ReadableStream<Uint8Array>,
  writable: WritableStream<Uint8Array>,
  waitsForClient: (waits: boolean) => void,
): Promise<'sent' | 'broken' | 'refused'> {
  const read = makeRead(body)
  const writer = writable.getWriter()
  for (;;) {
    waitsForClient(true)
    const chunk = await read().catch(() => undefined)
    if (chunk === undefined) return 'broken'
    waitsForClient(false)
    try {
      await (chunk.done ? writer.close() : writer.write(chunk.value))
    } catch {
      return 'refused'
    }
    if (chunk.done) return 'sent'
  }
}

/** Bytes per read from the client. The default of 4 KiB would cost a turn of the event loop for each read. */
const CHUNK_BYTES = 64 * 1024

/** Reads into one reused buffer where the body is the runtime's own stream; a stream made in JavaScript (a counted body) gives its own chunks. */
function makeRead(body: ReadableStream<Uint8Array>): () => Promise<ReadableStreamReadResult<Uint8Array>> {
  let byob: ReadableStreamBYOBReader
  try {
    byob = body.getReader({ mode: 'byob' })
  } catch {
    const reader = body.getReader()
    return () => reader.read()
  }
  let buffer = new ArrayBuffer(CHUNK_BYTES)
  return async () => {
    const chunk = await byob.read(new Uint8Array(buffer))
    if (chunk.value !== undefined) buffer = chunk.value.buffer as ArrayBuffer
    return chunk
  }
}

/** Bodies up to this many bytes are kept so that a retry can send them again; larger ones stream, once. */
const MAX_REPLAY_BYTES = 64 * 1024

/**
 * Buffers a request body of known length up to `max` bytes. Resolves with a refusal when the client does not deliver it before the
 * deadline. A body without a length, or above `max` bytes, stays a stream, and the request is not retried.
 */
export async function bufferRequestBody(
  x: Exchange,
  platform: Pick<Platform, 'now'>,
  max = MAX_REPLAY_BYTES,
): Promise<Response | undefined> {
  const { outgoing } = x
  const length = Number(outgoing.headers['content-length'] ?? NaN)
  if (!(outgoing.body instanceof ReadableStream) || !(length <= max)) return undefined
  const reader = outgoing.body.getReader()
  const bytes = new Uint8Array(length)
  let filled = 0
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    reader.cancel().catch(() => {})
  }, x.deadline - platform.now())
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      bytes.set(chunk.value, filled)
      filled += chunk.value.length
    }
  } catch {
    // The runtime's own stream also fails when the timer cancels it; a stream made in JavaScript ends.
    if (!isLate) return clientFailure(x, 'client-gone')
  } finally {
    clearTimeout(timer)
  }
  if (isLate) return clientFailure(x, 'upstream-timeout')
  markUploadEnd(x, platform.now())
  outgoing.body = bytes.subarray(0, filled)
  return undefined
}
