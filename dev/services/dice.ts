/** Pseudo-random choices that are equal at every start, so that `/users/7` is the same person in the README and in the demo. */
export interface Dice {
  /** A whole number in [0, below). */
  readonly number: (below: number) => number
  readonly oneOf: <T>(choices: readonly T[]) => T
}

/** Makes dice from a 32-bit seed (mulberry32). */
export function makeDice(seed: number): Dice {
  let state = seed
  const number = (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
  return { number, oneOf: (choices) => choices[number(choices.length)]! }
}
