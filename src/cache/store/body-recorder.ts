/** A body that passes by, and a copy of it. */
export interface RecordedBody {
  /** The same bytes, read from the source when they are asked for; breaks where the source breaks. */
  readonly body: ReadableStream<Uint8Array>
  /**
   * All of the body, when it has come to its end as it should. Undefined, as soon as that is clear, when it broke, was cancelled, has
   * another length than it said, or grew too large. Never rejects.
   */
  readonly whole: Promise<Uint8Array<ArrayBuffer> | undefined>
  /** Whether it has turned out to be; known before `whole` is. */
  readonly isTooLarge: () => boolean
}

/** Copies bodies, of which it holds only so much at once. */
export interface BodyRecorder {
  /** `length` in bytes, where the origin has told it. */
  readonly copy: (source: ReadableStream<Uint8Array>, length: number | undefined) => RecordedBody
}

/** How much memory copies may take, in bytes. Beyond it a copy ends and its body goes on. */
export interface RecorderBounds {
  /** Of one body, in bytes. */
  readonly body: number
  /** Of all copies that are not complete: then the oldest gives way, so that clients who do not read on hold up nobody for long. */
  readonly total: number
}

interface Copy {
  chunks: Uint8Array[]
  bytes: number
  readonly settle: (whole: Uint8Array<ArrayBuffer> | undefined) => void
}

/** As much as is asked of the origin at once, in bytes: the default of 4 KiB costs a turn of the event loop each. */
const CHUNK_BYTES = 64 * 1024

/** Copies that share `bounds.total`: make one for all that a process copies. */
export function makeBodyRecorder(bounds: RecorderBounds): BodyRecorder {
  /** The oldest first. A client's reset can end a request without a word: what it held stays here until it is the oldest. */
  const growing = new Set<Copy>()
  let total = 0

  const end = (copy: Copy, whole?: Uint8Array<ArrayBuffer>) => {
    if (growing.delete(copy)) total -= copy.bytes
    copy.chunks = []
    copy.settle(whole)
  }
  const add = (copy: Copy, chunk: Uint8Array) => {
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
      const copy: Copy = { chunks: [], bytes: 0, settle }
      growing.add(copy)
      const read = reading(source)
      const body = new ReadableStream<Uint8Array>(
        {
          async pull(stream) {
            const chunk = await read.next().catch((error: unknown) => {
              end(copy)
              throw error
            })
            if (chunk === undefined) {
              end(copy, growing.has(copy) && (length ?? copy.bytes) === copy.bytes ? joined(copy) : undefined)
              return stream.close()
            }
            add(copy, chunk)
            stream.enqueue(chunk)
          },
          cancel(reason) {
            end(copy)
            return read.cancel(reason)
          },
        },
        { highWaterMark: 0 },
      )
      // A stream made in JavaScript has no length, and the client would get chunks instead of the Content-Length that was promised.
      const paced = length ? body.pipeThrough(new FixedLengthStream(length)) : body
      return { body: paced, whole, isTooLarge: () => copy.bytes > bounds.body }
    },
  }
}

/** Undefined at the end. */
interface Reading {
  readonly next: () => Promise<Uint8Array | undefined>
  readonly cancel: (reason: unknown) => Promise<void>
}

function reading(source: ReadableStream<Uint8Array>): Reading {
  try {
    const reader = source.getReader({ mode: 'byob' })
    return { next: () => reader.read(new Uint8Array(CHUNK_BYTES)).then(valueOf), cancel: (why) => reader.cancel(why) }
  } catch {
    // No stream of bytes: one that was made in JavaScript comes in the chunks that it was given.
    const reader = source.getReader()
    return { next: () => reader.read().then(valueOf), cancel: (why) => reader.cancel(why) }
  }
}

const valueOf = ({ done, value }: ReadableStreamReadResult<Uint8Array>) => (done ? undefined : value)

function joined({ chunks, bytes }: Copy): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(bytes)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.byteLength
  }
  return whole
}
