import type { Exchange } from '../core/exchange.ts'
import type { Platform } from '../core/platform.ts'
import { endAttempt, type Attempt } from './attempt.ts'
import { clientFailure } from './outcome.ts'

// Only uploads write here, so that a request without a body pays nothing for it.
const ends = new WeakMap<Exchange, number>()

/**
 * Since when nobody waits for the client's body, in epoch milliseconds: when it was delivered, or when the origin stopped taking
 * it; `Infinity` while the client is waited for, `-Infinity` when nobody ever had to. What an upstream is blamed for is measured
 * from here: how fast a body comes is the client's doing, and that it is not read the origin's.
 */
export function uploadEnd(x: Exchange): number {
  return ends.get(x) ?? -Infinity
}

/** Says since when nobody waits for the client's body. */
export function markUploadEnd(x: Exchange, end: number): void {
  ends.set(x, end)
}

/**
 * The body to give to fetch in place of `body`, which comes from the client, so that it is known how far it got.
 *
 * Two reasons. fetch fails alike when the client breaks off its upload and when the origin dies, and only the second may count
 * against the upstream. And workerd ends a chunked upload whose stream *errors* as if it were complete: an origin would act on
 * the first half of a body. So a broken stream is never let through to fetch; the try is aborted instead.
 */
export function watchUpload(
  x: Exchange,
  body: ReadableStream<Uint8Array>,
  attempt: Attempt,
  now: () => number,
): ReadableStream<Uint8Array> {
  const length = x.outgoing.headers['content-length']
  // A known length goes on to the origin as Content-Length; not every origin takes chunks.
  const { readable, writable } =
    length === undefined ? new IdentityTransformStream() : new FixedLengthStream(Number(length))
  const waitsForClient = (waits: boolean) => markUploadEnd(x, waits ? Infinity : now())
  void pump(body, writable, waitsForClient).then((end) => {
    if (end === 'broken') endAttempt(attempt, 'upload-broken')
  })
  return readable
}

/**
 * Moves a body chunk by chunk, never rejecting: `sent`, or which end failed first, `broken` at the client's and `refused` at the origin's (where fetch
 * itself rejects with the reason). `pipeTo` fails alike for both. Says before each wait whether it is for the client.
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

/** As much as is asked of the client at once, in bytes: the default of 4 KiB costs a turn of the event loop each. */
const CHUNK_BYTES = 64 * 1024

/** Reads into one buffer over and over, where the body is the runtime's own; a stream made in JavaScript (a counted body) gives its own chunks. */
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
 * Turns a small request body of known length into bytes. Answers with a refusal when the client does not deliver it before the
 * deadline; without a length, or above `max` bytes, it leaves the stream, and there will be no retry.
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
  let late = false
  const timer = setTimeout(() => {
    late = true
    reader.cancel().catch(() => {})
  }, x.deadline - platform.now())
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      bytes.set(chunk.value, filled)
      filled += chunk.value.length
    }
  } catch {
    // What the timer cancelled fails too, where it is the runtime's own stream; one made in JavaScript ends.
    if (!late) return clientFailure(x, 'client-gone')
  } finally {
    clearTimeout(timer)
  }
  if (late) return clientFailure(x, 'upstream-timeout')
  markUploadEnd(x, platform.now())
  outgoing.body = bytes.subarray(0, filled)
  return undefined
}
