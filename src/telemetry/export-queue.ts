import type { SpanRecord } from './span.ts'

/** What became of the spans that this isolate recorded. */
export interface ExportCounters {
  /** Accepted by the collector. */
  readonly exported: number
  /** Thrown away because the queue was full. */
  readonly dropped: number
  /** Lost with a batch that the collector did not accept in time. */
  readonly failed: number
}

/** Finished spans on their way to the collector: at most 2,048 wait, and a trace that finds no room is dropped and counted. */
export interface ExportQueue {
  /** Takes the spans of one finished trace, all or none, and returns at once; `waitUntil` may get the work of a batch. */
  readonly push: (spans: readonly SpanRecord[], waitUntil: (work: Promise<unknown>) => void) => void
  readonly counters: () => ExportCounters
}

/** Spans held at most: about 2 MB. */
const CAPACITY = 2_048
/** A batch is sent at once when it has this many spans, */
const BATCH = 128
/** and after this long when it has fewer. */
const LINGER_MS = 1_000
/** A request's work can be cut off without a word; whatever it had reserved is free again after this long. */
const STALE_MS = 2_000
/** Full batches on their way at once, so that a collector that hangs holds no more than these and one a second. */
const SENDERS = 4

/**
 * A bounded queue in front of `send`, which rejects when a batch is lost. Requests lend it their `waitUntil`: on Workers
 * nothing else may run on after a request, and none may wait for another's promise.
 */
export function makeExportQueue(
  send: (spans: readonly SpanRecord[]) => Promise<void>,
  now: () => number,
  complain: (error: unknown, counts: ExportCounters) => void,
): ExportQueue {
  let waiting: SpanRecord[] = []
  let lingerSince = -Infinity
  const sentAt = Array.from({ length: SENDERS }, () => -Infinity)
  const counts = { exported: 0, dropped: 0, failed: 0 }

  const isFresh = (since: number) => now() >= since && now() - since < STALE_MS

  async function flush(sender?: number): Promise<void> {
    const batch = waiting
    waiting = []
    if (batch.length === 0) return
    if (sender !== undefined) sentAt[sender] = now()
    // The request that pays for a batch is answered before it is encoded.
    await scheduler.wait(0)
    try {
      await send(batch)
      counts.exported += batch.length
    } catch (error) {
      counts.failed += batch.length
      complain(error, counts)
    }
    if (sender !== undefined) sentAt[sender] = -Infinity
  }

  async function linger(): Promise<void> {
    await scheduler.wait(LINGER_MS)
    lingerSince = -Infinity
    await flush()
  }

  return {
    push(spans, waitUntil) {
      if (waiting.length + spans.length > CAPACITY) counts.dropped += spans.length
      else waiting.push(...spans)
      const sender = waiting.length < BATCH ? -1 : sentAt.findIndex((since) => !isFresh(since))
      if (sender >= 0) return waitUntil(flush(sender))
      if (isFresh(lingerSince)) return
      lingerSince = now()
      waitUntil(linger())
    },
    counters: () => ({ ...counts }),
  }
}
