import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { diagnosticsOf, explainIssue } from '../../src/config/explain.ts'
import type { Platform } from '../../src/core/platform.ts'
import { limiterCounters } from '../../src/limits/store/limit-log.ts'
import { rateLimit } from '../../src/policies/rate-limit.ts'
import { makeLimited, makePatientPlatform, type RawLimiter } from '../support/limits.ts'
import { makeTestFacts, makeTestPlatform } from '../support/platform.ts'

const NOW = 1_700_000_050_000 - (1_700_000_050_000 % 60_000) + 10_000
const units: RawLimiter = {
  name: 'units',
  algorithm: 'fixed-window',
  limit: 10,
  window: '60s',
  key: ['client.ip'],
  consistency: 'local',
}
const fromRequest: RawLimiter = { ...units, cost: { requestHeader: 'X-Cost', max: 8, default: 2 } }
const fromAnswer: RawLimiter = { ...units, cost: { responseHeader: 'x-cost', max: 8 } }

const costing = (cost: string) => () => Promise.resolve(new Response('ok', { headers: { 'x-cost': cost } }))

const STORES: [store: string, consistency: 'local' | 'leased' | 'strict', platform: () => Platform][] = [
  ['the isolate', 'local', () => makeTestPlatform({ now: () => NOW })],
  ['Durable Objects', 'strict', () => makePatientPlatform()],
  ['leases', 'leased', () => makePatientPlatform()],
  [
    'Upstash Redis',
    'strict',
    () =>
      makePatientPlatform({
        variable: (name) => (name === 'UPSTASH_REDIS_REST_URL' ? env.TEST_UPSTASH_URL : undefined),
        secret: ({ $secret }) => ($secret === 'UPSTASH_REDIS_REST_TOKEN' ? env.TEST_UPSTASH_TOKEN : undefined),
      }),
  ],
]
/** A limiter for one run: with a unique name, and a window that does not end during the run. */
const fresh = (entry: RawLimiter, consistency: 'local' | 'leased' | 'strict'): RawLimiter => ({
  ...entry,
  name: crypto.randomUUID(),
  window: '31d',
  consistency,
})
const leftOf = (field: string | null) => Number(/;r=(\d+)/.exec(field ?? '')?.[1])

describe('a cost', () => {
  it.each([
    [{ cost: -1 }, '0.cost: '],
    [{ cost: 1.5 }, '0.cost: '],
    [{ cost: '3' }, '0.cost: expected'],
    [{ cost: { max: 3 } }, '0.cost.requestHeader: expected this or responseHeader'],
    [{ cost: { requestHeader: 'a', responseHeader: 'b', max: 3 } }, '0.cost.responseHeader: has no use beside'],
    [{ cost: { requestHeader: 'x-cost' } }, '0.cost.max: '],
    [{ cost: { requestHeader: 'x-cost', max: 0 } }, '0.cost.max: expected at least 1'],
    [{ cost: { requestHeader: 'x cost', max: 3 } }, '0.cost.requestHeader: expected a header name'],
    [{ cost: { requestHeader: 'x-cost', max: 11 } }, '0.cost.max: expected at most 10'],
    [{ cost: { requestHeader: 'x-cost', max: 3, default: 4 } }, '0.cost.default: expected at most max, 3'],
    [{ cost: { responseHeader: 'x-cost', max: 3, default: 1 } }, '0.cost.default: has no use with responseHeader'],
    [{ cost: 4, overrides: [{ when: { 'jwt.plan': 'free' }, limit: 3 }] }, '0.cost: expected at most 3'],
    [{ algorithm: 'token-bucket', burst: 5, cost: 6 }, '0.cost: expected at most 5'],
  ])('is refused as in %j', (parts, message) => {
    const parsed = z.safeParse(rateLimit.config, [{ ...units, ...parts }], { error: explainIssue, reportInput: true })
    const found = parsed.success ? rateLimit.check!(parsed.data, makeTestFacts()) : diagnosticsOf(parsed.error.issues)
    const lines = found.map(({ path, message: text }) => `${path.join('.')}: ${text}`)
    expect(lines.filter((line) => line.includes('cost'))).toEqual([expect.stringContaining(message)])
  })

  it.each(STORES)('is a number, in %s', async (_, consistency, platform) => {
    const ask = makeLimited([fresh({ ...units, cost: 4 }, consistency)], platform())
    expect([leftOf((await ask()).left), leftOf((await ask()).left), (await ask()).status]).toEqual([6, 2, 429])
  })

  it.each(STORES)('of 0 takes nothing and says what is left, in %s', async (_, consistency, getPlatform) => {
    const platform = getPlatform()
    const entry = fresh(units, consistency)
    const [ask, look] = [makeLimited([entry], platform), makeLimited([{ ...entry, cost: 0 }], platform)]
    expect(leftOf((await look()).left)).toBe(10)
    for (let i = 0; i < 11; i++) await ask()
    const looked = await look()
    expect([looked.status, leftOf(looked.left)]).toEqual([200, 0])
  })

  it('is what the request says, from 1 to the most, and else the default', async () => {
    const taken = async (value: string | undefined) => {
      const ask = makeLimited([fromRequest], makeTestPlatform({ now: () => NOW }))
      return 10 - leftOf((await ask(value === undefined ? {} : { headers: { 'x-cost': value } })).left)
    }
    const values = ['3', '8', '9', '99999999999999999999', '0', '-1', '1.5', '1e3', 'NaN', '', undefined]
    expect(await Promise.all(values.map(taken))).toEqual([3, 8, 8, 8, 2, 2, 2, 2, 2, 2, 2])
  })

  it('that is more than is left is refused, and says when there will be that much', async () => {
    const bucket: RawLimiter = { ...fromRequest, algorithm: 'token-bucket' }
    const ask = makeLimited([bucket], makeTestPlatform({ now: () => NOW }))
    await ask({ headers: { 'x-cost': '8' } })
    const refused = await ask({ headers: { 'x-cost': '5' } })
    expect([refused.status, refused.left, refused.headers.get('retry-after')]).toEqual([429, '"units";r=2;t=18', '18'])
    expect((await ask({ headers: { 'x-cost': '2' } })).status).toBe(200)
  })
})

describe('a cost that the answer says', () => {
  it.each(STORES)(
    'is charged when the answer is there, and hidden from the client, in %s',
    async (_, consistency, platform) => {
      const ask = makeLimited([fresh(fromAnswer, consistency)], platform(), costing('4'))
      const first = await ask()
      expect([leftOf(first.left), first.headers.has('x-cost')]).toEqual([9, false])
      expect(leftOf((await ask()).left)).toBe(5)
      expect(leftOf((await ask()).left)).toBe(1)
      expect((await ask()).status).toBe(429)
    },
  )

  it.each(STORES)(
    'takes what is left and no more, and counts what it could not take, in %s',
    async (_, consistency, getPlatform) => {
      const platform = getPlatform()
      const entry = fresh(fromAnswer, consistency)
      const ask = makeLimited([entry], platform, costing('8'))
      await ask()
      // 2 are left: one is consumed before the response, 7 are consumed after it.
      expect((await ask()).status).toBe(200)
      const refused = await ask()
      expect([refused.status, leftOf(refused.left)]).toEqual([429, 0])
      expect(limiterCounters(platform, entry.name)).toMatchObject({ admitted: 2, refused: 1, uncharged: 6 })
    },
  )

  it('is charged to what an isolate has taken ahead too, once the store has nothing left', async () => {
    let now = NOW
    const platform = makePatientPlatform({ now: () => now })
    const entry = { ...fresh(fromAnswer, 'leased'), limit: 3_000, cost: { responseHeader: 'x-cost', max: 50 } }
    const ask = makeLimited([entry], platform, costing('50'))
    let admitted = 0
    for (let i = 0; i < 200; i++) {
      now += 2
      if ((await ask()).status === 200) admitted++
    }
    // 60 × 50, and one in flight when the last token was consumed.
    expect(admitted).toBeGreaterThan(50)
    expect(admitted).toBeLessThanOrEqual(61)
    expect(limiterCounters(platform, entry.name).uncharged).toBeLessThan(50)
  })

  it('is 1 when the answer says nothing of use, and at most the most', async () => {
    const taken = async (value: string) => {
      const platform = makeTestPlatform({ now: () => NOW })
      const ask = makeLimited([fromAnswer], platform, costing(value))
      await ask()
      return 9 - leftOf((await ask()).left)
    }
    expect(await Promise.all(['0', '1', '7', '9', '', '-3', 'many'].map(taken))).toEqual([1, 1, 7, 8, 1, 1, 1])
  })

  it('is bound by what is in flight: what runs when the last unit goes, and nothing after it', async () => {
    let arrived = 0
    const gates: (() => void)[] = []
    const platform = makeTestPlatform({ now: () => NOW })
    const ask = makeLimited([fromAnswer], platform, async () => {
      arrived++
      await new Promise<void>((open) => gates.push(open))
      return costing('8')()
    })
    const running = [ask(), ask(), ask()]
    while (gates.length < 3) await Promise.resolve()
    gates.splice(0).forEach((open) => open())
    await Promise.all(running)
    expect((await ask()).status).toBe(429)
    // 3 × 8 of 10 were consumed: above the limit by at most 2 × 7, for all requests in flight but one.
    expect([arrived, limiterCounters(platform, 'units').uncharged]).toEqual([3, 14])
  })
})
