import { vi } from 'vitest'

/** A request body that begins with `text` and then neither goes on nor ends. */
export const stalledBody = (text = ''): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      if (text !== '') controller.enqueue(new TextEncoder().encode(text))
    },
  })

/** Moves faked timers on until `pending` is settled, and resolves with the milliseconds that took; rejects after `maxMs`. */
export async function advanceUntilSettled(pending: Promise<unknown>, maxMs = 60_000): Promise<number> {
  let isSettled = false
  const settle = () => void (isSettled = true)
  pending.then(settle, settle)
  for (let waited = 0; waited <= maxMs; waited += 100) {
    // Calls to objects take real turns of the event loop.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
    if (isSettled) return waited
    await vi.advanceTimersByTimeAsync(100)
  }
  throw new Error(`not settled after ${maxMs} ms`)
}
