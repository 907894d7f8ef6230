const MEMORY_MS = 10_000
const MAX_REMEMBERED = 5_000

/** Keys for ten to twenty seconds, ten thousand at most, in two generations: nothing is ever looked for to be forgotten. */
export function rememberUncacheable(now: () => number) {
  let [young, old] = [new Set<string>(), new Set<string>()]
  let turnedAt = now()
  const turn = () => {
    const age = Math.abs(now() - turnedAt)
    if (age < MEMORY_MS && young.size < MAX_REMEMBERED) return
    old = age < 2 * MEMORY_MS ? young : new Set()
    young = new Set()
    turnedAt = now()
  }
  return {
    add(key: string) {
      turn()
      young.add(key)
    },
    has(key: string) {
      turn()
      return young.has(key) || old.has(key)
    },
  }
}
