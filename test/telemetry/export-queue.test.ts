import { describe, expect, it } from 'vitest'
import { makeExportQueue, type ExportCounters } from '../../src/telemetry/export-queue.ts'
import { openSpan, type SpanRecord } from '../../src/telemetry/span.ts'

const spans = (count: number): SpanRecord[] =>
  Array.from({ length: count }, () =>
    openSpan('a'.repeat(32), 'b'.repeat(16), undefined, undefined, 'server', 'GET', 1),
  )

/** A queue in front of a collector that responds when the test resolves its promise, with a clock that the test sets. */
function makeTestQueue(respondsAtOnce = true) {
  const clock = { now: 1_800_000_000_000 }
  const batches: { size: number; response: PromiseWithResolvers<void> }[] = []
  const work: Promise<unknown>[] = []
  const diagnostics: ExportCounters[] = []
  const send = (batch: readonly SpanRecord[]): Promise<void> => {
    const response = Promise.withResolvers<void>()
    batches.push({ size: batch.length, response })
    if (respondsAtOnce) response.resolve()
    return response.promise
  }
  const queue = makeExportQueue(
    send,
    () => clock.now,
    (_error, counts) => diagnostics.push({ ...counts }),
  )
  return {
    clock,
    batches,
    diagnostics,
    work,
    counts: queue.counters,
    push: (count: number) => queue.push(spans(count), (promise) => void work.push(promise)),
    tick: () => scheduler.wait(5),
  }
}

describe('export queue', () => {
  it('sends a small batch within a second, in the work of the request that opened it', async () => {
    const { push, work, batches, counts } = makeTestQueue()
    const began = Date.now()
    push(4)
    push(4)
    expect(work).toHaveLength(1)
    expect(batches).toHaveLength(0)
    await Promise.all(work)
    expect(Date.now() - began).toBeLessThan(1_500)
    expect(batches.map(({ size }) => size)).toEqual([8])
    expect(counts()).toEqual({ exported: 8, dropped: 0, failed: 0 })
    push(4)
    expect(work).toHaveLength(2)
  })

  it('sends at once at 128 spans', async () => {
    const { push, tick, batches } = makeTestQueue()
    for (let traces = 0; traces < 32; traces++) push(4)
    await tick()
    expect(batches.map(({ size }) => size)).toEqual([128])
  })

  it('does not trust a pending flush for more than two seconds', async () => {
    const { push, work, clock } = makeTestQueue()
    push(4)
    clock.now += 1_999
    push(4)
    expect(work).toHaveLength(1)
    clock.now += 1
    push(4)
    expect(work).toHaveLength(2)
    // A clock that was set back does not keep it pending.
    clock.now -= 3_600_000
    push(4)
    expect(work).toHaveLength(3)
    await Promise.all(work)
  })

  it('holds no more than four batches for a collector that hangs, then 2,048 spans; the rest is counted', async () => {
    const { push, tick, batches, counts, clock } = makeTestQueue(false)
    for (let traces = 0; traces < 2_000; traces++) push(4)
    await tick()
    expect(batches.map(({ size }) => size)).toEqual([128, 128, 128, 128])
    expect(counts()).toEqual({ exported: 0, dropped: 8_000 - 512 - 2_048, failed: 0 })
    // A sender whose request was cancelled is free again after two seconds.
    clock.now += 2_000
    push(4)
    await tick()
    expect(batches.slice(4).map(({ size }) => size)).toEqual([2_048])
  })

  it('counts a lost batch and goes on', async () => {
    const { push, tick, batches, counts, diagnostics } = makeTestQueue(false)
    push(128)
    await tick()
    batches[0]!.response.reject(new Error('down'))
    await tick()
    expect(diagnostics).toEqual([{ exported: 0, dropped: 0, failed: 128 }])
    push(130)
    await tick()
    batches[1]!.response.resolve()
    await tick()
    expect(counts()).toEqual({ exported: 130, dropped: 0, failed: 128 })
  })

  it('takes a trace whole or not at all', () => {
    const { push, counts } = makeTestQueue(false)
    for (let sender = 0; sender < 4; sender++) push(128)
    push(2_046)
    push(3)
    expect(counts().dropped).toBe(3)
    push(2)
    expect(counts().dropped).toBe(3)
  })
})
