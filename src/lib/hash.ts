import murmurhash from 'murmurhash'

/**
 * MurmurHash3 x86_32 of the UTF-8 bytes of `text`: 32 evenly spread bits, as an unsigned integer, the same in every isolate and
 * release. `seed` (32 bits, unsigned) makes independent hashes of one text. Not for secrets: a client that chooses the text can choose the result.
 */
export function hash32(text: string, seed = 0): number {
  return murmurhash.v3(text, seed)
}
