import type { SpanRecord } from './span.ts'

/** Counts the spans that this isolate recorded, by outcome. */
export interface ExportCounters {
  /** Accepted by the collector. */
  readonly exported: number
  /** Dropped because the queue was full. */
  readonly dropped: number
  /** In batches that the collector did not accept in time. */
  readonly failed: number
}

/** Finished spans that are to be exported: at most 2,048 wait. A trace that does not fit is dropped and counted. */
export interface ExportQueue {
  /** Takes the spans of one finished trace, all or none, and returns at once; the export of a batch runs in `waitUntil`. */
  readonly push: (spans: readonly SpanRecord[], waitUntil: (work: Promise<unknown>) => void) => void
  readonly counters: () => ExportCounters
}

/** Spans queued at most: about 2 MB. */
const CAPACITY = 2_048
/** A batch of this many spans is sent at once. */
const BATCH = 128
/** A smaller batch is sent after this long, in milliseconds. */
const LINGER_MS = 1_000
/** The platform can cancel a request's work without notice; the sender that it reserved is released after this long, in milliseconds. */
const STALE_MS = 2_000
/** Full batches in flight at once: a collector that hangs holds at most these and one batch a second. */
const SENDERS = 4

/**
 * A bounded queue in front of `send`, which rejects when a batch is lost. Batches are sent in the `waitUntil` of a request: on Workers
 * nothing else runs after a request, and no request may await the promise of another.
 */
export function makeExportQueue(
  send: (spans: readonly SpanRecord[]) => Promise<void>,
  now: () => number,
  onFailure: (error: unknown, counters: ExportCounters) => void,
): ExportQueue {
  let waiting: SpanRecord[] = []
  let lingerSince = -Infinity
  const sentAt = Array.from({ length: SENDERS }, () => -Infinity)
  const counters = { exported: 0, dropped: 0, failed: 0 }

  const isFresh = (since: number) => now() >= since && now() - since < STALE_MS

  async function flush(sender?: number): Promise<void> {
    const batch = waiting
    waiting = []
    if (batch.length === 0) return
    if (sender !== undefined) sentAt[sender] = now()
    // The response of the request that sends a batch goes out before the batch is encoded.
    await scheduler.wait(0)
    await exportBatch(batch, send, counters).catch((error: unknown) => onFailure(error, counters))
    if (sender !== undefined) sentAt[sender] = -Infinity
  }

  const linger = async () => {
    await scheduler.wait(LINGER_MS)
    lingerSince = -Infinity
    await flush()
  }

  return {
    push(spans, waitUntil) {
      if (waiting.length + spans.length > CAPACITY) counters.dropped += spans.length
      else waiting.push(...spans)
      const sender = waiting.length < BATCH ? -1 : sentAt.findIndex((since) => !isFresh(since))
      if (sender >= 0) return waitUntil(flush(sender))
      if (isFresh(lingerSince)) return
      lingerSince = now()
      waitUntil(linger())
    },
    counters: () => ({ ...counters }),
  }
}

/** Sends and counts a batch; rejects with the reason when it is lost. */
async function exportBatch(
  batch: readonly SpanRecord[],
  send: (spans: readonly SpanRecord[]) => Promise<void>,
  counters: { exported: number; failed: number },
): Promise<void> {
  try {
    await send(batch)
    counters.exported += batch.length
  } catch (error) {
    counters.failed += batch.length
    throw error
  }
}
