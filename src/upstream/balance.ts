import type { Exchange } from '../exchange.ts'
import type { Handler } from '../pipeline.ts'
import type { Site } from '../policy.ts'
import { isResting, type Target } from './target.ts'

const NONE: readonly string[] = []

// Only a retry writes here, so that a request which succeeds at once pays nothing for it.
const failedTargets = new WeakMap<Exchange, string[]>()

/** Makes later tries of this exchange pass over the target tried last, while there is another. */
export function avoidLastTarget(x: Exchange): void {
  if (x.target === undefined) return
  const failed = failedTargets.get(x)
  if (failed) failed.push(x.target)
  else failedTargets.set(x, [x.target])
}

/** Hands each try to one of `targets`, in proportion to their weights, passing over those that rest or have failed it. */
export function balance(targets: readonly Target[], sendTo: (target: Target) => Handler, site: Site): Handler {
  const weighted = targets.filter((target) => target.weight > 0)
  const handlers = new Map(weighted.map((target) => [target, sendTo(target)]))
  return (x) => {
    const failed = x.attempts > 0 ? (failedTargets.get(x) ?? NONE) : NONE
    return handlers.get(pickTarget(weighted, site.now(), failed))!(x)
  }
}

/** The next target: one that is awake and has not failed this exchange, else one that only rests, else whichever there is. */
export function pickTarget(targets: readonly Target[], now: number, failed: readonly string[] = NONE): Target {
  return (
    takeTurn(targets, now, failed) ??
    takeTurn(targets, Infinity, failed) ??
    takeTurn(targets, now, NONE) ??
    takeTurn(targets, Infinity, NONE)!
  )
}

/**
 * Smooth weighted round-robin: each eligible target gains its weight, the richest is chosen and pays for all. In every stretch
 * of total-weight picks each one gets exactly its share, spread out.
 */
function takeTurn(targets: readonly Target[], now: number, failed: readonly string[]): Target | undefined {
  let richest: Target | undefined
  let total = 0
  for (const target of targets) {
    if (isResting(target, now) || failed.includes(target.label)) continue
    target.credit += target.weight
    total += target.weight
    if (richest === undefined || target.credit > richest.credit) richest = target
  }
  if (richest) richest.credit -= total
  return richest
}
