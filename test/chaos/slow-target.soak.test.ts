import { afterEach, describe, expect, it } from 'vitest'
import { crowd, pace, tally } from '../support/callers.ts'
import { startScene, type Scene } from '../support/scene.ts'

let scene: Scene
afterEach(() => scene.stop())

describe('one target of three that is slow by a second', () => {
  it.each([
    ['least-requests', 0, 0.1],
    ['ewma', 0, 0.1],
    // What the others are held against: a third of the callers wait.
    ['round-robin', 0.3, 0.4],
  ])('gets a share of the requests with %s', async (loadBalancing, least, most) => {
    scene = await startScene({ origins: 3, upstream: { loadBalancing } })
    await scene.origins[1]!.behave({ kind: 'answer', delayMs: 1_000 })
    const answers = await pace(200, 2, () => scene.call('/get'))
    expect(tally(answers)).toEqual({ 200: 400 })
    const share = scene.origins[1]!.ledger().length / 400
    expect(share).toBeGreaterThanOrEqual(least)
    expect(share).toBeLessThanOrEqual(most)
    const others = [scene.origins[0]!, scene.origins[2]!].map((origin) => origin.ledger().length)
    expect(Math.min(...others)).toBeGreaterThan(100)
  })
})

it('asks another target when one of three hangs, with a hedge', async () => {
  // One request in three meets the one that hangs, and pays its hedge from the budget.
  const upstream = { timeout: '20s', hedge: { after: '100ms' }, retry: { budget: { minPerSecond: 100 } } }
  scene = await startScene({ origins: 3, upstream })
  await scene.origins[2]!.behave({ kind: 'hang' })
  expect(tally(await crowd(6, 60, () => scene.call('/get')))).toEqual({ 200: 60 })
  const [first, second, hung] = scene.origins.map((origin) => origin.ledger().length)
  expect(hung).toBeGreaterThan(0)
  // Each of those was sent once more; some of the others too, if the machine was slow.
  expect(first! + second!).toBeGreaterThanOrEqual(60)
  expect(first! + second! + hung!).toBeLessThanOrEqual(120)
})
