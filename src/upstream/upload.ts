import type { Exchange } from '../exchange.ts'
import { endAttempt, type Attempt } from './attempt.ts'

// Only uploads write here, so that a request without a body pays nothing for it.
const ends = new WeakMap<Exchange, number>()

/**
 * When the client had delivered its whole body, in epoch milliseconds; `Infinity` while it is still sending, `-Infinity` when
 * nobody had to wait for it. What an upstream is blamed for is measured from here: how fast a body comes is the client's doing.
 */
export function uploadEnd(x: Exchange): number {
  return ends.get(x) ?? -Infinity
}

/** Says when the client's body was, or will have been, delivered. */
export function markUpload(x: Exchange, end: number): void {
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
  const length = x.outgoing.headers.get('content-length')
  // A known length goes on to the origin as Content-Length; not every origin takes chunks.
  const { readable, writable } = length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length))
  markUpload(x, Infinity)
  body.pipeTo(writable, { preventAbort: true, preventCancel: true }).then(
    () => markUpload(x, now()),
    () => {
      // The pipe breaks at either end; only a stream that errored by itself is the client's doing.
      body.getReader().closed.catch(() => endAttempt(attempt, 'upload-broken'))
    },
  )
  return readable
}
