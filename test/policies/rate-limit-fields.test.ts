import fc from 'fast-check'
import { parseList } from 'structured-headers'
import { describe, expect, it } from 'vitest'
import { limiterCounters } from '../../src/limits/store/limit-log.ts'
import { makeLimited, makePatientPlatform, type RawLimiter } from '../support/limits.ts'
import { makeTestPlatform } from '../support/platform.ts'

const NOW = 1_700_000_050_000 - (1_700_000_050_000 % 60_000) + 10_000
const perIp: RawLimiter = {
  name: 'per-ip',
  algorithm: 'fixed-window',
  limit: 2,
  window: '60s',
  key: ['client.ip'],
  consistency: 'local',
}

/** The fields as a client reads them: an RFC 9651 parser, then the parameters of the draft. Throws on an invalid field. */
function readFields(headers: Headers) {
  const read = (name: string, parameters: readonly string[]) =>
    parseList(headers.get(name) ?? '').map(([item, all]) => {
      expect(typeof item).toBe('string')
      const values = parameters.map((parameter) => all.get(parameter) as number)
      for (const value of values) expect(Number.isInteger(value) && value >= 0).toBe(true)
      return [item as string, ...values] as const
    })
  return { policies: read('ratelimit-policy', ['q', 'w']), limits: read('ratelimit', ['r', 't']) }
}

const limiters = fc.uniqueArray(
  fc.record({
    name: fc.stringMatching(/^[\w.-]{1,64}$/),
    limit: fc.integer({ min: 1, max: 4 }),
    window: fc.integer({ min: 1, max: 31 * 86_400 }).map((seconds) => `${seconds}s`),
    algorithm: fc.constantFrom('fixed-window', 'sliding-window', 'token-bucket'),
  }),
  { minLength: 1, maxLength: 3, selector: ({ name }) => name },
)

describe('the RateLimit fields', () => {
  it('are valid on every answer, name the same limiters, and Retry-After is at least t of what is violated', async () => {
    await fc.assert(
      fc.asyncProperty(limiters, fc.array(fc.nat(3_000), { maxLength: 12 }), async (entries, waits) => {
        let now = NOW
        const ask = makeLimited(
          entries.map((entry) => ({ ...perIp, ...entry })),
          makeTestPlatform({ now: () => now }),
        )
        for (const wait of waits) {
          now += wait
          const { status, headers, body } = await ask()
          const { policies, limits } = readFields(headers)
          const names = entries.map(({ name }) => name)
          expect([policies, limits].map((items) => items.map(([name]) => name))).toEqual([names, names])
          expect(headers.has('retry-after')).toBe(status === 429)
          if (status !== 429) continue
          const violated = (JSON.parse(body) as Record<string, string[]>)['violated-policies']!
          expect(names.filter((name) => violated.includes(name))).toEqual(violated)
          const longest = Math.max(...limits.filter(([name]) => violated.includes(name)).map(([, , t]) => t!))
          expect(Number(headers.get('retry-after'))).toBe(longest)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('are valid where a store counts, with what is left never more than before in its window', async () => {
    const entry: RawLimiter = {
      ...perIp,
      name: crypto.randomUUID(),
      limit: 20,
      window: '31d',
      consistency: 'strict',
    }
    const isolates = [0, 1].map(() => makeLimited([entry], makePatientPlatform()))
    const left: number[] = []
    for (let i = 0; i < 24; i++) left.push(readFields((await isolates[i % 2]!()).headers).limits[0]![1]!)
    expect(left).toEqual([...Array.from({ length: 20 }, (_, i) => 19 - i), 0, 0, 0, 0])
  })

  it('name all that is violated, in the order asked, and take nothing from those that are not', async () => {
    const hour: RawLimiter = { ...perIp, name: 'hour', window: '1h', limit: 2 }
    const day: RawLimiter = { ...perIp, name: 'day', window: '1d', limit: 5 }
    const ask = makeLimited([perIp, hour, day], makeTestPlatform({ now: () => NOW }))
    await ask()
    await ask()
    for (let i = 0; i < 3; i++) {
      const refused = await ask()
      expect(JSON.parse(refused.body)).toMatchObject({ status: 429, 'violated-policies': ['per-ip', 'hour'] })
      expect(readFields(refused.headers).limits.map(([name, r]) => [name, r])).toEqual([
        ['per-ip', 0],
        ['hour', 0],
        ['day', 3],
      ])
    }
  })

  it('say of a daily quota beside a short window when it begins anew, on a refusal too', async () => {
    let now = Date.UTC(2024, 1, 29, 23, 59, 0)
    const day: RawLimiter = { ...perIp, name: 'day', window: '1d', limit: 3 }
    const ask = makeLimited([perIp, day], makeTestPlatform({ now: () => now }))
    await ask()
    await ask()
    expect((await ask()).headers.get('retry-after')).toBe('60')
    now -= 120_000
    const third = await ask()
    expect(third.left).toMatch(/"day";r=0;t=180$/)
    const refused = await ask()
    expect([refused.status, refused.headers.get('retry-after'), JSON.parse(refused.body)]).toEqual([
      429,
      '180',
      expect.objectContaining({ 'violated-policies': ['day'] }),
    ])
    now = Date.UTC(2024, 2, 1)
    expect((await ask()).left).toMatch(/"day";r=2;t=86400$/)
  })
})

describe('a limiter in shadow mode', () => {
  const shadow: RawLimiter = { ...perIp, name: 'shadow', limit: 1, mode: 'shadow' }

  it.each(['local', 'leased', 'strict'] as const)(
    'refuses nothing and says nothing, but counts it: %s',
    async (consistency) => {
      const platform = makePatientPlatform()
      const name = crypto.randomUUID()
      const ask = makeLimited(
        [
          { ...shadow, name, window: '31d', consistency },
          { ...perIp, window: '31d' },
        ],
        platform,
      )
      const answers = [await ask(), await ask(), await ask()]
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 429])
      for (const { headers } of answers) {
        expect(headers.get('ratelimit')).not.toContain(name)
        expect(headers.get('ratelimit-policy')).not.toContain(name)
      }
      // The third was refused in any case: the shadow limiter's verdict on it is not reported.
      expect(limiterCounters.all(platform)).toMatchObject({
        [name]: { admitted: 1, shadowRefused: 1, refused: 0 },
        'per-ip': { admitted: 2, shadowRefused: 0, refused: 1 },
      })
    },
  )

  it('leaves the fields of the origin alone where it is the only one', async () => {
    const origin = () => Promise.resolve(new Response('ok', { headers: { ratelimit: '"origin";r=7;t=1' } }))
    const early: RawLimiter = { ...shadow, name: 'early', before: 'auth' }
    expect((await makeLimited([shadow, early], makeTestPlatform(), origin)()).left).toBe('"origin";r=7;t=1')
    const enforced: RawLimiter = { ...early, mode: 'enforce' }
    const { left } = await makeLimited([shadow, enforced], makeTestPlatform({ now: () => NOW }), origin)()
    expect(left).toBe('"early";r=0;t=50')
  })

  it('delays nothing: nobody waits for its store', async () => {
    const hanging = { get: () => ({ take: () => new Promise(() => {}) }), idFromName: () => ({}) } as never
    const platform = makeTestPlatform({ limitShards: hanging })
    let reached = false
    const ask = makeLimited([{ ...shadow, consistency: 'strict' }], platform, () => {
      reached = true
      return Promise.resolve(new Response('ok'))
    })
    const answered = ask()
    expect(reached).toBe(true)
    expect((await answered).status).toBe(200)
    expect(limiterCounters(platform, 'shadow')).toMatchObject({ storeFailures: 1, blind: 0, shadowRefused: 0 })
  })
})
