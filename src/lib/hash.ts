const GOLDEN = 0x9e3779b1

/**
 * 32 evenly spread bits of `text`, as an unsigned integer: the same everywhere and for ever, so its results may be acted on by
 * another isolate, or after a release. `seed` (32 bits) makes independent hashes of one text. No secret: whoever chooses the
 * text chooses the result.
 */
export function hash32(text: string, seed = 0): number {
  let hash = seed ^ text.length
  for (let i = 0; i < text.length; i++) hash = stir(hash ^ text.charCodeAt(i))
  return stir(stir(hash)) >>> 0
}

/** A bijection of 32 bits. The shift brings high bits down again: by multiplication alone no bit ever touches a lower one. */
function stir(hash: number): number {
  const product = Math.imul(hash, GOLDEN)
  return product ^ (product >>> 15)
}
