import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { readBytes, readRequestBytes } from '../../src/lib/body.ts'
import { advanceUntilSettled, stalledBody } from '../support/stalled-body.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** `count` bytes, one every `everyMs`; then its end. */
function drip(count: number, everyMs: number): ReadableStream<Uint8Array> {
  let sent = 0
  return new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, everyMs))
      controller.enqueue(Uint8Array.of(sent++))
      if (sent === count) controller.close()
    },
  })
}

describe('a request body', () => {
  it('that stops half-way is given up 10 s after its last byte, and its stream is cancelled', async () => {
    const cancelled = vi.fn<() => void>()
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(Uint8Array.of(1)),
      cancel: cancelled,
    })
    const read = readRequestBytes(body, 100)
    expect(await advanceUntilSettled(read)).toBe(10_000)
    expect(await read).toBe('timeout')
    expect(cancelled).toHaveBeenCalledOnce()
  })

  it('of the runtime that stops half-way is given up too', async () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const native = new IdentityTransformStream()
    for (const [end, body] of [
      [writable, readable],
      [native.writable, native.readable],
    ] as const) {
      const writer = end.getWriter()
      writer.write(Uint8Array.of(1)).catch(() => {})
      const read = readRequestBytes(body as ReadableStream<Uint8Array>, 100)
      expect(await advanceUntilSettled(read)).toBe(10_000)
      expect(await read).toBe('timeout')
    }
  })

  it('that never begins is given up after 10 s', async () => {
    const read = readRequestBytes(stalledBody(), 100)
    expect(await advanceUntilSettled(read)).toBe(10_000)
    expect(await read).toBe('timeout')
  })

  it('that goes on slowly is read, but for 30 s at most', async () => {
    const slow = readRequestBytes(drip(3, 9_000), 100)
    await advanceUntilSettled(slow)
    expect(await slow).toEqual(Uint8Array.of(0, 1, 2))
    const endless = readRequestBytes(drip(100, 1_000), 100)
    expect(await advanceUntilSettled(endless)).toBe(30_000)
    expect(await endless).toBe('timeout')
  })

  it('leaves no timer behind, however it ends', async () => {
    const broken = new ReadableStream<Uint8Array>({ start: (controller) => controller.error(new Error('gone')) })
    expect(await readRequestBytes(broken, 100)).toBe('aborted')
    expect(await readRequestBytes(new Response('abc').body, 2)).toBe('too-large')
    expect(await readRequestBytes(new Response('abc').body, 3)).toEqual(new TextEncoder().encode('abc'))
    expect(await readRequestBytes(null, 3)).toEqual(new Uint8Array())
    expect(vi.getTimerCount()).toBe(0)
  })

  it('without limits on time is waited for', async () => {
    const read = readBytes(drip(2, 40_000), 100)
    expect(vi.getTimerCount()).toBeLessThanOrEqual(1)
    expect(await advanceUntilSettled(read, 100_000)).toBe(80_000)
  })
})
