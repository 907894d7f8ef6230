import murmurhash from 'murmurhash'

const encoder = new TextEncoder()
/** Keys are short; a longer one gets a buffer of its own. Three bytes are the most for a UTF-16 unit. */
const MAX_UNITS = 128
const buffer = new Uint8Array(3 * MAX_UNITS)

/**
 * MurmurHash3 x86_32 of the UTF-8 bytes of `text`: 32 evenly spread bits, as an unsigned integer, the same in every isolate and
 * release. `seed` (32 bits, unsigned) makes independent hashes of one text. Not for secrets: a client that chooses the text can choose the result.
 */
export function hash32(text: string, seed = 0): number {
  if (text.length > MAX_UNITS) return murmurhash.v3(encoder.encode(text), seed)
  // The package would make an encoder for each text, which takes ten times as long as the hash.
  return murmurhash.v3(buffer.subarray(0, encoder.encodeInto(text, buffer).written), seed)
}
