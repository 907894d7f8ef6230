const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** One call for 64 traces: crossing into the runtime for each id would cost more than all the rest of it. */
const POOL_BYTES = 2_048

const pool = new Uint8Array(POOL_BYTES)
let used = POOL_BYTES

function randomHex(bytes: number): string {
  if (used + bytes > POOL_BYTES) {
    crypto.getRandomValues(pool)
    used = 0
  }
  let hex = ''
  for (const end = used + bytes; used < end; used++) hex += HEX[pool[used]!]
  return hex
}

/** A new W3C trace id: 32 lower-case hex digits, all of them random. Not at module scope: Workers have no randomness there. */
export function makeTraceId(): string {
  return randomHex(16)
}

/** A new W3C span id: 16 lower-case hex digits, all of them random. Not at module scope. */
export function makeSpanId(): string {
  return randomHex(8)
}
