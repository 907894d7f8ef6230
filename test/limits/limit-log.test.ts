import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { makeTestExchange } from '../support/exchange.ts'
import { makeLimited, type RawLimiter } from '../support/limits.ts'
import { makeTestPlatform } from '../support/platform.ts'

const limiter: RawLimiter = {
  name: 'per-ip',
  algorithm: 'fixed-window',
  limit: 100,
  window: '31d',
  key: ['client.ip'],
  consistency: 'local',
}
const nowhere = { client: { ...makeTestExchange().client, ip: '' } }

let warned: string[]
beforeEach(() => {
  warned = []
  vi.spyOn(console, 'warn').mockImplementation((line: string) => void warned.push(line))
})
afterEach(() => vi.restoreAllMocks())

/** Objects of other test files in this isolate may log changes of their state. */
const lines = () =>
  warned.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ event }) => event === 'limits')

it('tells of requests without a key and of what a shadow would refuse, once a minute and only what is new', async () => {
  let now = 1_700_000_000_000
  const shadow: RawLimiter = { ...limiter, name: 'tried', key: ['const:all'], limit: 1, mode: 'shadow' }
  const ask = makeLimited(
    [limiter, { ...limiter, name: 'fine', key: ['const:all'] }, shadow],
    makeTestPlatform({ now: () => now }),
  )
  await ask()
  now += 1_000
  await ask({}, nowhere)
  expect(lines()).toEqual([
    {
      time: '2023-11-14T22:13:21.000Z',
      level: 'warn',
      event: 'limits',
      overflows: 0,
      limiters: {
        'per-ip': expect.objectContaining({ missingKeys: 1, admitted: 2 }) as unknown,
        tried: expect.objectContaining({ shadowRefused: 1 }) as unknown,
      },
    },
  ])
  await ask()
  now += 59_999
  await ask()
  expect(lines()).toHaveLength(1)
  now++
  await ask()
  expect(lines()[1]!.limiters).toEqual({ tried: expect.objectContaining({ shadowRefused: 4 }) as unknown })
  expect(lines()).toHaveLength(2)
})

it('tells nothing while all is well, and nothing where warnings are not wanted', async () => {
  let now = 1_700_000_000_000
  const quiet = makeTestPlatform({ now: () => now, variable: (name) => (name === 'LOG_LEVEL' ? 'error' : undefined) })
  const [well, unheard] = [makeLimited([limiter], makeTestPlatform({ now: () => now })), makeLimited([limiter], quiet)]
  for (let i = 0; i < 3; i++) {
    await well()
    await unheard({}, nowhere)
    now += 60_000
  }
  expect(lines()).toEqual([])
})

it('tells of keys for which there is no room', async () => {
  let now = 1_700_000_000_000
  const platform = makeTestPlatform({ now: () => now })
  const ask = makeLimited([{ ...limiter, algorithm: 'sliding-window' }], platform)
  const { client } = makeTestExchange()
  for (let i = 0; i < 2_501; i++) await ask({}, { client: { ...client, ip: `10.0.${i >> 8}.${i & 255}` } })
  now += 60_000
  await ask()
  expect(lines()).toMatchObject([{ event: 'limits', overflows: 2, limiters: {} }])
})
