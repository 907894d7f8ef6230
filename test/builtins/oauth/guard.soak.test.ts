import { expect, it } from 'vitest'
import type { Platform } from '../../../src/core/platform.ts'
import type { LoginDecision } from '../../../src/identity/api.ts'
import { addUser, deploy, PASSWORD } from './authority.ts'

const from = (ip: string) => ({ 'cf-connecting-ip': ip })
const wrong = { username: 'admin', password: 'wrong' }
const right = { username: 'admin', password: PASSWORD }

it('locks one network out of one username, in which a right password is answered as a wrong one', async () => {
  const { store, post } = await deploy()
  await addUser(store, { username: 'admin' })
  const texts = new Set<string>()
  for (let i = 0; i < 10; i++) texts.add(await (await post('/token', wrong, from(`192.0.2.${i}`))).text())
  const locked = await post('/token', right, from('192.0.2.200'))
  texts.add(await locked.text())
  expect([locked.status, locked.headers.get('www-authenticate'), texts.size]).toEqual([401, 'Bearer', 1])
  expect((await post('/token', right, from('192.0.3.1'))).status).toBe(200)
  // Others behind the same address are not concerned.
  const other = { username: 'johndoe', password: PASSWORD }
  expect((await post('/token', other, from('192.0.2.200'))).status).toBe(200)
})

it('treats an unknown user alike, and a /64 of IPv6 as one network', async () => {
  const asked: string[] = []
  const logins = {
    getByName: (shard: string) => ({
      decide: async (user: string, pair: string): Promise<LoginDecision> => {
        asked.push(`${shard} ${user} ${pair}`)
        return { allowed: false, delayMs: 0 }
      },
    }),
  } as unknown as Platform['loginGuards']
  const { post } = await deploy({}, { loginGuards: logins })
  const nobody = { username: 'nobody', password: 'x' }
  for (const ip of ['2001:db8::1', '2001:db8::ffff:ffff:ffff:ffff', '2001:db8:0:1::1'])
    expect((await post('/token', nobody, from(ip))).status).toBe(401)
  expect(asked[0]).toBe(asked[1])
  expect(asked[0]).not.toBe(asked[2])
  expect(asked.join()).not.toContain('nobody')
})

it('keeps nobody out who logs in from elsewhere while a thousand guesses come from one network', async () => {
  const { store, post } = await deploy()
  await addUser(store, { username: 'admin' })
  for (let i = 0; i < 1_000; i += 250)
    await Promise.all(Array.from({ length: 250 }, () => post('/token', wrong, from('198.51.100.9'))))
  const startedAt = Date.now()
  expect((await post('/token', right, from('203.0.113.5'))).status).toBe(200)
  // Guesses of a locked network cost the owner no delay.
  expect(Date.now() - startedAt).toBeLessThan(1_000)
  for (let i = 0; i < 10; i++) await post('/token', wrong, from('198.51.100.9'))
  expect((await post('/token', right, from('198.51.100.9'))).status).toBe(401)
}, 30_000)

it('answers 503 to more logins at once than may wait, and harms nobody who was right', async () => {
  const { store, post } = await deploy()
  await addUser(store, { username: 'admin' })
  const answers = await Promise.all(Array.from({ length: 40 }, () => post('/token', right, from('10.0.0.1'))))
  const busy = answers.filter(({ status }) => status === 503)
  expect(answers.filter(({ status }) => status === 200).length + busy.length).toBe(40)
  expect(busy.length).toBeGreaterThan(20)
  expect(busy[0]!.headers.get('retry-after')).toBe('1')
  expect(await busy[0]!.json()).toMatchObject({ code: 'login-busy', error: 'temporarily_unavailable' })
})

it('fails closed while the guard does not answer', async () => {
  const logins = {
    getByName: () => ({ decide: () => Promise.reject(new Error()) }),
  } as unknown as Platform['loginGuards']
  const { logIn } = await deploy({}, { loginGuards: logins })
  const response = await logIn()
  expect([response.status, await response.json()]).toEqual([
    503,
    expect.objectContaining({ code: 'state-unavailable' }),
  ])
})

it('waits as long as the guard says', async () => {
  const logins = {
    getByName: () => ({ decide: async () => ({ allowed: true, delayMs: 300 }) }),
  } as unknown as Platform['loginGuards']
  const { logIn } = await deploy({}, { loginGuards: logins })
  const startedAt = Date.now()
  expect((await logIn()).status).toBe(200)
  expect(Date.now() - startedAt).toBeGreaterThanOrEqual(295)
})

it('takes as long for a wrong name as for a wrong password', async () => {
  const logins = {
    getByName: () => ({ decide: async () => ({ allowed: false, delayMs: 0 }) }),
  } as unknown as Platform['loginGuards']
  const { post, settled } = await deploy({}, { loginGuards: logins })
  const timed = async (username: string) => {
    // Past the slot of the derivation before, so that nothing waits for its turn.
    await scheduler.wait(60)
    const startedAt = Date.now()
    expect((await post('/token', { username, password: 'wrong' })).status).toBe(401)
    return Date.now() - startedAt
  }
  const meanOf = (times: number[]) =>
    times
      .toSorted((a, b) => a - b)
      .slice(0, -3)
      .reduce((sum, ms) => sum + ms, 0)
  // A machine that does something else disturbs one round; a gateway that tells names apart shows it in all.
  const ratios: number[] = []
  for (let round = 0; round < 4 && !ratios.some((ratio) => Math.abs(ratio - 1) <= 0.05); round++) {
    const [known, unknown]: [number[], number[]] = [[], []]
    for (let i = 0; i < 12; i++) {
      known.push(await timed('johndoe'))
      unknown.push(await timed(`nobody${i}`))
    }
    ratios.push(meanOf(unknown) / meanOf(known))
  }
  await settled()
  console.log(`wrong name / wrong password: ${ratios.map((ratio) => ratio.toFixed(3)).join(', ')}`)
  expect(ratios.some((ratio) => Math.abs(ratio - 1) <= 0.05)).toBe(true)
}, 60_000)
