import type { Rule } from './bounds.ts'

/** Something that was taken, or asked for: when (epoch milliseconds) and how much. */
export interface Taken {
  readonly at: number
  readonly cost: number
}

/** What is used at a moment, as the algorithm defines it. Moments are given in turn. */
export interface Usage {
  /** In the window that holds `at`, in the one that ends there, or missing in the bucket. */
  readonly at: (at: number) => number
  readonly add: (taken: Taken) => void
}

/** An exact count of what is used: everything is kept, and nothing rounded. */
export function makeUsage({ algorithm, limit, windowMs }: Pick<Rule, 'algorithm' | 'limit' | 'windowMs'>): Usage {
  switch (algorithm) {
    case 'fixed-window':
      return fixedUsage(windowMs)
    case 'sliding-window':
      return slidingUsage(windowMs)
    case 'token-bucket':
      return bucketUsage(limit / windowMs)
  }
}

function fixedUsage(windowMs: number): Usage {
  let [window, used] = [-1, 0]
  const at = (now: number) => {
    const current = Math.floor(now / windowMs)
    if (current !== window) [window, used] = [current, 0]
    return used
  }
  return { at, add: (taken) => void (used = at(taken.at) + taken.cost) }
}

/** What was taken at a moment counts until a window later, and no longer. */
function slidingUsage(windowMs: number): Usage {
  const all: Taken[] = []
  let [first, used] = [0, 0]
  const at = (now: number) => {
    while (first < all.length && all[first]!.at <= now - windowMs) used -= all[first++]!.cost
    return used
  }
  return {
    at,
    add(taken) {
      used = at(taken.at) + taken.cost
      all.push(taken)
    },
  }
}

function bucketUsage(perMs: number): Usage {
  let [since, missing] = [0, 0]
  const at = (now: number) => {
    missing = Math.max(0, missing - (now - since) * perMs)
    since = now
    return missing
  }
  return { at, add: (taken) => void (missing = at(taken.at) + taken.cost) }
}
