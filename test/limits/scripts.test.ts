import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Algorithm, LimiterSpec, TakeRequest } from '../../src/limits/limiter.ts'
import { compileScriptCall } from '../../src/limits/store/scripts.ts'
import { takeFrom, type WindowCount } from '../../src/limits/store/windows.ts'

interface Step {
  readonly ask: TakeRequest
  readonly waitMs: number
}

/** What the real Redis grants for each step, in one request, so that none of its own time passes between them. */
async function grantsOfRedis(spec: LimiterSpec, steps: readonly Step[], start: number): Promise<number[][]> {
  const question = compileScriptCall(spec, 1_000_000)
  const key = crypto.randomUUID()
  let now = start
  const commands = steps.map(({ ask, waitMs }) => {
    now += waitMs
    return ['EVAL', question.script.text, 3, ...question.keys(key), ...question.args(ask, now)]
  })
  const headers = { authorization: `Bearer ${env.TEST_UPSTASH_TOKEN}`, 'content-type': 'application/json' }
  const response = await fetch(`${env.TEST_UPSTASH_URL}/pipeline`, {
    method: 'POST',
    headers,
    body: JSON.stringify(commands),
  })
  const answers = await response.json<{ result?: number[]; error?: string }[]>()
  return answers.map(({ result, error }) => result ?? [NaN, Number(error)])
}

function grantsOfModule(spec: LimiterSpec, steps: readonly Step[], start: number): number[][] {
  const count: WindowCount = { endsAt: 0, used: 0 }
  let now = start
  return steps.map(({ ask, waitMs }) => {
    now += waitMs
    const { granted, remaining, resetMs, storeNow } = takeFrom(count, spec, ask, now)
    return [granted, remaining, resetMs, storeNow, 0]
  })
}

const algorithms: Algorithm[] = ['fixed-window', 'sliding-window', 'token-bucket']

it.each(algorithms)(
  '%s: the script and the module grant the same to whatever is asked, whenever',
  async (algorithm) => {
    const spec = fc.record({
      limit: fc.oneof(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 995, max: 1_006 }),
        fc.constant(1_000_000_000),
      ),
      windowMs: fc.constantFrom(1_000, 7_000, 60_000, 31 * 86_400_000),
      burst: fc.constantFrom(undefined, 1, 3, 50, 2_000),
    })
    const share = fc.record({
      want: fc.oneof(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 700 }), fc.constant(300_000_000)),
      least: fc.constantFrom(0, 0.3, 1, 1),
      /** Until so many tokens have come back. */
      tokens: fc.constantFrom(0, 0, 1, 3),
      /** Of the window; a clock may step back. */
      wait: fc.oneof(
        fc.constant(0),
        fc.nat(200).map((thousandths) => thousandths / 1_000),
        fc.constantFrom(0.999, 1, 2, -0.3, -3),
      ),
    })
    await fc.assert(
      fc.asyncProperty(
        spec,
        fc.array(share, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1_600_000_000_000, max: 1_900_000_000_000 }),
        async (parts, shares, start) => {
          const full: LimiterSpec = { name: 'n', algorithm, ...parts }
          const steps = shares.map(({ want, least, wait, tokens }) => ({
            ask: { want, atLeast: Math.ceil(want * least) },
            waitMs: Math.floor(wait * parts.windowMs) + Math.ceil((tokens * parts.windowMs) / parts.limit),
          }))
          expect(await grantsOfRedis(full, steps, start)).toEqual(grantsOfModule(full, steps, start))
        },
      ),
      { numRuns: 120 },
    )
  },
)

it('asks in one call for keys of one slot, as a cluster wants it', () => {
  const spec: LimiterSpec = { name: 'n?jwt.plan=gold', limit: 5, windowMs: 60_000 }
  const keys = compileScriptCall(spec, 1).keys('a')
  expect(new Set(keys).size).toBe(3)
  // What counts is what stands between the first braces: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
  expect(new Set(keys.map((key) => /\{([^}]+)\}/.exec(key)?.[1]))).toEqual(new Set(['f:n?jwt.plan=gold:60000']))
})

it('gives every key a time to live, and keeps none for much longer than it says something', async () => {
  const headers = { authorization: `Bearer ${env.TEST_UPSTASH_TOKEN}`, 'content-type': 'application/json' }
  const lives = { 'fixed-window': 60_000, 'sliding-window': 61_001, 'token-bucket': 120_000 }
  for (const algorithm of algorithms) {
    const question = compileScriptCall(
      { name: crypto.randomUUID(), algorithm, limit: 5, windowMs: 60_000, burst: 10 },
      1,
    )
    const run = ['EVAL', question.script.text, 3]
    const [first, second] = [question.keys(crypto.randomUUID()), question.keys(crypto.randomUUID())]
    const args = question.args({ want: 1, atLeast: 1 })
    const commands = [
      [...run, ...first, ...args],
      [...run, ...second, ...args],
      ...[...first, second[0], second[2]].map((key) => ['PTTL', key]),
    ]
    const body = JSON.stringify(commands)
    const response = await fetch(`${env.TEST_UPSTASH_URL}/pipeline`, { method: 'POST', headers, body })
    const [one, two, row, rows, overflow, ...others] = (await response.json<{ result: unknown }[]>()).map(
      (a) => a.result,
    )
    expect([one, two]).toMatchObject([
      [1, expect.any(Number), expect.any(Number), expect.any(Number), 0],
      [1, expect.any(Number), expect.any(Number), expect.any(Number), 1],
    ])
    const life = lives[algorithm]
    for (const ttl of [row, overflow, others[1]] as number[]) {
      expect(ttl).toBeGreaterThan(0)
      expect(ttl).toBeLessThanOrEqual(life + 1_000)
    }
    expect(rows).toBeGreaterThan(0)
    expect(rows).toBeLessThanOrEqual(2 * life + 1_000)
    // The second found no room: it has no row of its own.
    expect(others[0]).toBe(-2)
  }
})
