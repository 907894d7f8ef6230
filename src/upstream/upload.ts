import type { Exchange } from '../core/exchange.ts'
import type { Platform } from '../core/platform.ts'
import { readBytes } from '../lib/body.ts'
import { endAttempt, limitAttempt, type Attempt } from './attempt.ts'
import { clientFailure } from './outcome.ts'

/** How long an upload, and the response after it, may take; in milliseconds. */
export interface UploadLimits {
  /** The route's timeout: from the end of the request's body, or from arrival where it has none, to the response headers. */
  readonly timeout: number
  /** The longest that one try may wait for response headers, or for an origin that does not read. */
  readonly perTryTimeout: number
  /** The longest that the client may pause. */
  readonly uploadIdleTimeout: number
}

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

/** Whether the request has a body that streams to the origin. GET and HEAD are sent without one. */
export function hasUpload({ outgoing: { method, body } }: Exchange): boolean {
  return body instanceof ReadableStream && method !== 'GET' && method !== 'HEAD'
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
 *
 * While the gateway waits for the client, only `uploadIdleTimeout` limits the try, or the client's own deadline; while the origin does not read,
 * and after the body's end, the try's time does.
 */
export function watchUpload(
  x: Exchange,
  body: ReadableStream<Uint8Array>,
  attempt: Attempt,
  { perTryTimeout, uploadIdleTimeout }: UploadLimits,
  now: () => number,
): ReadableStream<Uint8Array> {
  const length = x.outgoing.headers['content-length']
  // A known length is sent to the origin as Content-Length; not every origin accepts chunked requests.
  const { readable, writable } =
    length === undefined ? new IdentityTransformStream() : new FixedLengthStream(Number(length))
  const waitsForClient = (waits: boolean) => {
    const time = now()
    markUploadEnd(x, waits ? Infinity : time)
    const endsAt = time + (waits ? uploadIdleTimeout : perTryTimeout)
    if (endsAt < x.deadline) limitAttempt(attempt, endsAt, waits ? 'upload-idle' : 'timeout', time)
    else limitAttempt(attempt, x.deadline, 'timeout', time)
  }
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

/** A client that pauses for this long, in milliseconds, while the gateway reads its body whole has stopped; `uploadIdleTimeout` can be less. */
const MAX_IDLE_MS = 10_000

/**
 * Buffers a request body of known length up to `max` bytes, and sets the deadline, which counts from the body's end. Resolves with a refusal
 * when the client does not deliver it in time. A body without a length, or above `max` bytes, stays a stream, and the request is not retried.
 */
export async function bufferRequestBody(
  x: Exchange,
  { timeout, uploadIdleTimeout }: UploadLimits,
  platform: Pick<Platform, 'now'>,
  max = MAX_REPLAY_BYTES,
): Promise<Response | undefined> {
  const { outgoing } = x
  const length = Number(outgoing.headers['content-length'] ?? NaN)
  if (!(outgoing.body instanceof ReadableStream) || !(length <= max)) return undefined
  const limits = { idleMs: Math.min(uploadIdleTimeout, MAX_IDLE_MS), totalMs: x.deadline - platform.now() }
  const bytes = await readBytes(outgoing.body, max, limits)
  const now = platform.now()
  if (bytes === 'timeout') return clientFailure(x, now < x.deadline ? 'body-timeout' : 'upstream-timeout')
  if (typeof bytes === 'string') return clientFailure(x, 'client-gone')
  markUploadEnd(x, now)
  x.deadline = Math.min(x.deadline, now + timeout)
  outgoing.body = bytes
  return undefined
}
