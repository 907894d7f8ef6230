import { withTimeout } from '../lib/time.ts'

/** As much as is asked of the origin at once, in bytes: the default of 4 KiB costs a turn of the event loop each. */
const CHUNK_BYTES = 64 * 1024

/**
 * `response` with a body that is cut off when the origin pauses for more than `idleMs` milliseconds between two chunks.
 * A chunk is read when the client has room for it, so memory stays constant and a slow client is not taken for a silent origin.
 */
export function watchIdle(response: Response, idleMs: number): Response {
  // A WebSocket may be silent for as long as it likes.
  if (response.body === null || response.webSocket != null) return response
  const reader = response.body.getReader({ mode: 'byob' })
  const watched = new ReadableStream<Uint8Array>(
    {
      pull: async (stream) => {
        const chunk = await withTimeout(idleMs, () => reader.read(new Uint8Array(CHUNK_BYTES)))
        if (chunk === undefined) {
          const reason = new Error('The upstream broke off, or paused for too long')
          reader.cancel(reason).catch(() => {})
          throw reason
        }
        if (chunk.done) stream.close()
        else stream.enqueue(chunk.value)
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
  return new Response(keepLength(watched, response.headers), response)
}

/** A stream made in JavaScript has no length, and the client would get chunks instead of the Content-Length that was promised. */
function keepLength(body: ReadableStream<Uint8Array>, headers: Headers): ReadableStream<Uint8Array> {
  const length = headers.get('content-length')
  // Only where it is the length of these very bytes: not of chunked ones, and stated once (RFC 9112 §6.3).
  if (length === null || headers.has('transfer-encoding')) return body
  return /^\d{1,15}$/.test(length) ? body.pipeThrough(new FixedLengthStream(Number(length))) : body
}
