import type { Exchange } from '../../core/exchange.ts'
import type { Platform } from '../../core/platform.ts'
import { clientRefusal } from '../outcome.ts'
import { markUpload } from '../upload.ts'

/** Bodies up to this many bytes are kept so that a retry can send them again; larger ones stream, once. */
const MAX_REPLAY_BYTES = 64 * 1024

/**
 * Turns a small request body of known length into bytes. Answers with a refusal when the client does not deliver it before the
 * deadline; without a length, or above `max` bytes, it leaves the stream, and there will be no retry.
 */
export async function bufferBody(
  x: Exchange,
  platform: Pick<Platform, 'now'>,
  max = MAX_REPLAY_BYTES,
): Promise<Response | undefined> {
  const { outgoing } = x
  const length = Number(outgoing.headers['content-length'] ?? NaN)
  if (!(outgoing.body instanceof ReadableStream) || !(length <= max)) return undefined
  const reader = outgoing.body.getReader()
  const bytes = new Uint8Array(length)
  let filled = 0
  let late = false
  const timer = setTimeout(() => {
    late = true
    reader.cancel().catch(() => {})
  }, x.deadline - platform.now())
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      bytes.set(chunk.value, filled)
      filled += chunk.value.length
    }
  } catch {
    // What the timer cancelled fails too, where it is the runtime's own stream; one made in JavaScript ends.
    if (!late) return clientRefusal(x, 'client-gone')
  } finally {
    clearTimeout(timer)
  }
  if (late) return clientRefusal(x, 'upstream-timeout')
  markUpload(x, platform.now())
  outgoing.body = bytes.subarray(0, filled)
  return undefined
}
