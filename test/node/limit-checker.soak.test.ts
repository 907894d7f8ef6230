import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { Consistency } from '../limits/checker/bounds.ts'
import type { Circumstances } from '../limits/checker/judge.ts'
import { examine, hammer, send, type Finding, type Pressure, type Run, type Sent } from '../limits/checker/run.ts'
import { startLimitScene, type Limiter, type LimitScene } from '../limits/checker/scene.ts'
import { ALGORITHMS, MODES } from '../limits/checker/table.ts'

let scene: LimitScene
afterEach(() => scene.stop())

/** Above all limits together, also on a machine that has much else to do. */
const PRESSURE: Pressure = { clients: 6, perSecond: 150, forMs: 1_600 }

function limitersOf(consistency: Consistency, onStoreError: 'local' | 'deny'): Limiter[] {
  return ALGORITHMS.map((algorithm) => ({
    name: `${algorithm}-${consistency}-${onStoreError}`,
    algorithm,
    consistency,
    limit: consistency === 'leased' ? 60 : 10,
    windowMs: 1_000,
    onStoreError,
    ...(algorithm === 'token-bucket' && { burst: 10 }),
  }))
}

const hammerAll = (limiters: readonly Limiter[], key: string) =>
  Promise.all(limiters.map((limiter) => hammer(scene, limiter, key, PRESSURE)))

async function examineAll(runs: readonly Run[], circumstances?: Circumstances): Promise<Finding[]> {
  const findings = await examine(scene, runs, circumstances)
  for (const { limiter, over, wrong, unadmitted, twice, decidedTwice, unlogged } of findings)
    expect({ name: limiter.name, over, wrong, unadmitted, twice, decidedTwice, unlogged }).toEqual({
      name: limiter.name,
      over: 0,
      wrong: 0,
      unadmitted: [],
      twice: [],
      decidedTwice: [],
      unlogged: [],
    })
  return findings
}

/** Calls of each limiter through each gateway until its store has answered one, be the machine ever so busy; these are judged too. */
function warm(limiters: readonly Limiter[]): Promise<Run[]> {
  const one = async (limiter: Limiter): Promise<Run> => {
    const sent: Sent[] = []
    for (const { call } of scene.gateways)
      await expect
        .poll(async () => sent[sent.push(await send(call, `/${limiter.name}/warm`)) - 1]!.status, { timeout: 30_000 })
        .not.toBe(503)
    return { limiter, sent }
  }
  return Promise.all(limiters.map(one))
}

const STRICT = limitersOf('strict', 'deny')
const LEASED = limitersOf('leased', 'deny')
const BLIND = limitersOf('strict', 'local')

describe('real gateways, by their decision log and by the ledger of the origin', () => {
  it.each([
    ['durable-objects', 1],
    ['redis', 2],
  ] as const)('admit no more than the bound, and refuse nothing that it allows: %s', async (store, gateways) => {
    scene = await startLimitScene({ store, limiters: [...STRICT, ...LEASED], gateways })
    const warmed = await warm([...STRICT, ...LEASED])
    const findings = await examineAll([...(await hammerAll(STRICT, 'a')), ...(await hammerAll(LEASED, 'a')), ...warmed])
    // A store that was too late for a request has counted it all the same: no other refusal is a false one.
    for (const { under, unanswered } of findings.slice(0, 3)) expect(under).toBeLessThanOrEqual(unanswered)
    for (const { admitted } of findings.slice(-warmed.length)) expect(admitted).toBeGreaterThan(0)
  })

  it('admit no more than the bound when Redis is killed in mid-burst, and go back to it', async () => {
    const limiters = [...STRICT, ...LEASED, ...BLIND]
    scene = await startLimitScene({ store: 'redis', limiters, gateways: 2 })
    const warmed = await warm(limiters)
    const running = hammerAll(limiters, 'a')
    await sleep(600)
    process.kill(scene.redis!.redisPid(), 'SIGKILL')
    await examineAll([...(await running), ...warmed])
    const [{ call }] = scene.gateways as [(typeof scene.gateways)[0]]
    const [denied, admitted] = [await send(call, `/${STRICT[0]!.name}/b`), await send(call, `/${BLIND[0]!.name}/b`)]
    expect([denied.status, denied.code]).toEqual([503, 'limit-store-unavailable'])
    expect([admitted.status, admitted.headers['ratelimit-policy']]).toEqual([
      200,
      expect.stringContaining('fallback=local'),
    ])
    expect(await examine(scene, [{ limiter: BLIND[0]!, sent: [admitted] }])).toMatchObject([
      { admitted: 1, blind: 1, over: 0 },
    ])

    await scene.redis!.restart()
    await warm(STRICT)
  })
})

it('the table of bounds in docs/rate-limits.md says what the checker holds limiters to', async () => {
  scene = { stop: async () => {} } as LimitScene
  const page = readFileSync(join(import.meta.dirname, '../../docs/rate-limits.md'), 'utf8')
  const [, table] = /<!-- measured -->([^]*)<!-- \/measured -->/.exec(page)!
  const rows = table!.trim().split('\n').slice(2)
  const cells = rows.map((row) =>
    row
      .split('|')
      .slice(1, 5)
      .map((cell) => cell.trim()),
  )
  expect(cells).toEqual(
    MODES.map(({ algorithm, consistency, place, bound }) => [`\`${algorithm}\``, `\`${consistency}\``, place, bound]),
  )
})
