import { makeTargets, type Target } from '../../src/upstream/target.ts'

/** Targets `t0`, `t1`, … with these weights; `nameOf` tells them apart. */
export function makeTestTargets(...weights: number[]): Target[] {
  const config = weights.map((weight, i) => ({ url: `http://t${i}.test`, weight }))
  return makeTargets('u', config, () => undefined)
}

export function nameOf(target: Target | undefined): string | undefined {
  return target?.label.replace('.test:80', '')
}

/** How often each name is among `names`. */
export function countNames(names: readonly (string | undefined)[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name ?? 'none'] = (counts[name ?? 'none'] ?? 0) + 1
  return counts
}

/** The largest distance from its due share, in per cent of all `names`. */
export function worstError(names: readonly (string | undefined)[], targets: readonly Target[]): number {
  const counts = countNames(names)
  const total = targets.reduce((sum, { weight }) => sum + weight, 0)
  const errors = targets.map((target) => {
    const share = (counts[nameOf(target)!] ?? 0) / names.length
    return Math.abs(share - target.weight / total) * 100
  })
  return Math.max(...errors)
}

/** The same even numbers in [0, 1) in every run (mulberry32). */
export function seededRandom(seed = 1): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}
