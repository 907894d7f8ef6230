import { concatBytes } from '../../lib/body.ts'

/** A body on its way to a client, and the recording of it. */
export interface RecordedBody {
  /** The same bytes, read from the source on demand; breaks where the source breaks. */
  readonly body: ReadableStream<Uint8Array>
  /**
   * The complete body. Undefined as soon as it is clear that it broke off, was cancelled, has another length than announced, or is too
   * large. Never rejects.
   */
  readonly whole: Promise<Uint8Array<ArrayBuffer> | undefined>
  /** Whether the body was too large; decided before `whole` is. */
  readonly isTooLarge: () => boolean
}

/** Records bodies within a bound of memory. */
export interface BodyRecorder {
  /** `length` in bytes, where the origin has announced it. */
  readonly copy: (source: ReadableStream<Uint8Array>, length: number | undefined) => RecordedBody
}

/** The memory that recordings may take, in bytes. Beyond it a recording ends, and its body streams on. */
export interface RecorderBounds {
  /** Of one body, in bytes. */
  readonly body: number
  /** Of all incomplete recordings. Beyond it the oldest ends, so that clients that stop reading do not block others. */
  readonly total: number
}

interface BodyCopy {
  chunks: Uint8Array[]
  bytes: number
  readonly settle: (whole: Uint8Array<ArrayBuffer> | undefined) => void
}

/** The size of one read from the origin, in bytes: with the default of 4 KiB each read costs a turn of the event loop. */
const CHUNK_BYTES = 64 * 1024

/** Makes a recorder; all bodies that it records share `bounds.total`. */
export function makeBodyRecorder(bounds: RecorderBounds): BodyRecorder {
  /** The oldest first. A client's reset can end a request without notice: its recording stays here until it is the oldest. */
  const growing = new Set<BodyCopy>()
  let total = 0

  const end = (copy: BodyCopy, whole?: Uint8Array<ArrayBuffer>) => {
    if (growing.delete(copy)) total -= copy.bytes
    copy.chunks = []
    copy.settle(whole)
  }
  const add = (copy: BodyCopy, chunk: Uint8Array) => {
    if (!growing.has(copy)) return
    copy.chunks.push(chunk)
    copy.bytes += chunk.byteLength
    total += chunk.byteLength
    if (copy.bytes > bounds.body) end(copy)
    for (const oldest of growing) {
      if (total <= bounds.total) return
      end(oldest)
    }
  }

  return {
    copy(source, length) {
      const { promise: whole, resolve: settle } = Promise.withResolvers<Uint8Array<ArrayBuffer> | undefined>()
      const copy: BodyCopy = { chunks: [], bytes: 0, settle }
      growing.add(copy)
      const finish = () => {
        const isComplete = growing.has(copy) && (length ?? copy.bytes) === copy.bytes
        end(copy, isComplete ? concatBytes(copy.chunks, copy.bytes) : undefined)
      }
      const body = passThroughStream(
        makeReader(source),
        (chunk) => add(copy, chunk),
        finish,
        () => end(copy),
      )
      // A stream made in JavaScript has no length: the client would get chunked coding in place of the announced Content-Length.
      const sized = length ? body.pipeThrough(new FixedLengthStream(length)) : body
      return { body: sized, whole, isTooLarge: () => copy.bytes > bounds.body }
    },
  }
}

/** The chunks of `reader` as a stream; `onEnd` is called at the end, `onAbort` when the source breaks or the stream is cancelled. */
function passThroughStream(
  reader: ChunkReader,
  onChunk: (chunk: Uint8Array) => void,
  onEnd: () => void,
  onAbort: () => void,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(stream) {
        const chunk = await reader.next().catch((error: unknown) => {
          onAbort()
          throw error
        })
        if (chunk === undefined) {
          onEnd()
          return stream.close()
        }
        onChunk(chunk)
        stream.enqueue(chunk)
      },
      cancel(reason) {
        onAbort()
        return reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
}

/** Undefined at the end. */
interface ChunkReader {
  readonly next: () => Promise<Uint8Array | undefined>
  readonly cancel: (reason: unknown) => Promise<void>
}

function makeReader(source: ReadableStream<Uint8Array>): ChunkReader {
  try {
    const reader = source.getReader({ mode: 'byob' })
    return { next: () => reader.read(new Uint8Array(CHUNK_BYTES)).then(valueOf), cancel: (why) => reader.cancel(why) }
  } catch {
    // Not a byte stream: a stream made in JavaScript delivers the chunks that were enqueued.
    const reader = source.getReader()
    return { next: () => reader.read().then(valueOf), cancel: (why) => reader.cancel(why) }
  }
}

const valueOf = ({ done, value }: ReadableStreamReadResult<Uint8Array>) => (done ? undefined : value)
