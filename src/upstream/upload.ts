import type { Attempt } from './attempt.ts'

/**
 * The body to give to fetch in place of `body`, which comes from the client, so that the try knows how far it got.
 *
 * Two reasons. fetch fails alike when the client breaks off its upload and when the origin dies, and only the second may count
 * against the upstream. And workerd ends a chunked upload whose stream *errors* as if it were complete: an origin would act on
 * the first half of a body. So a broken stream is never let through to fetch; the try is aborted instead.
 */
export function watchUpload(
  body: ReadableStream<Uint8Array>,
  length: string | null,
  attempt: Attempt,
): ReadableStream<Uint8Array> {
  // A known length goes on to the origin as Content-Length; not every origin takes chunks.
  const { readable, writable } = length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length))
  attempt.uploaded = false
  body.pipeTo(writable, { preventAbort: true, preventCancel: true }).then(
    () => {
      attempt.uploaded = true
    },
    () => {
      // The pipe breaks at either end; only a stream that errored by itself is the client's doing.
      body.getReader().closed.catch(() => attempt.abort('upload-broken'))
    },
  )
  return readable
}
