import { evictDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, it, vi } from 'vitest'
import { PROTOCOL, type Report } from '../../src/upstream/circuit-report.ts'

const settings = {
  failureRate: 50,
  slowCallRate: 100,
  minimumRequests: 10,
  window: 10_000,
  openDuration: 100,
  maxOpenDuration: 400,
  halfOpenProbes: 1,
}
const tally = (calls = 0, failures = 0) => ({ calls, failures, slow: 0 })
const object = (name: string) => env.BREAKERS.getByName(name)
const report = (name: string, news: Partial<Report> = {}) =>
  object(name).report(PROTOCOL, { settings, tally: tally(), ...news })
const untilOver = () => new Promise((over) => setTimeout(over, 110))

it('is closed at first', async () => {
  expect(await report('fresh')).toEqual({ state: 'closed' })
})

it('opens on what isolates report together, for a duration and not until a time', async () => {
  expect(await report('sum', { tally: tally(6, 3) })).toEqual({ state: 'closed' })
  const verdict = await report('sum', { tally: tally(4, 2) })
  expect(verdict).toEqual({ state: 'open', forMs: 100 })
})

it('is still open after its process was lost', async () => {
  await report('lost', {
    settings: { ...settings, openDuration: 60_000, maxOpenDuration: 60_000 },
    tally: tally(10, 10),
  })
  await evictDurableObject(object('lost'))
  const verdict = await report('lost')
  expect(verdict).toMatchObject({ state: 'open' })
  expect((verdict as { forMs: number }).forMs).toBeLessThanOrEqual(400)
})

it('gives one lease at a time, and closes when its probe passes', async () => {
  await report('probe', { tally: tally(10, 10) })
  expect(await report('probe', { wantsLease: true })).not.toHaveProperty('lease')
  await untilOver()
  const [first, second] = await Promise.all([
    report('probe', { wantsLease: true }),
    report('probe', { wantsLease: true }),
  ])
  expect(first).toMatchObject({ state: 'open', forMs: 0, lease: expect.any(String) as string })
  expect(second).toEqual({ state: 'open', forMs: 0 })
  const { lease } = first as { lease: string }
  expect(await report('probe', { probe: { lease, result: 'passed' } })).toEqual({ state: 'closed' })
  await evictDurableObject(object('probe'))
  expect(await report('probe')).toEqual({ state: 'closed' })
})

it('opens for longer when the probe fails', async () => {
  await report('fail', { tally: tally(10, 10) })
  await untilOver()
  const { lease } = (await report('fail', { wantsLease: true })) as { lease: string }
  expect(await report('fail', { probe: { lease, result: 'failed' } })).toEqual({ state: 'open', forMs: 200 })
})

it('gives a lease that nobody spends to another after two seconds', async () => {
  await report('idle', { tally: tally(10, 10) })
  await untilOver()
  await report('idle', { wantsLease: true })
  const asked = Date.now()
  await vi.waitFor(async () => expect(await report('idle', { wantsLease: true })).toHaveProperty('lease'), {
    timeout: 3_000,
    interval: 50,
  })
  expect(Date.now() - asked).toBeGreaterThanOrEqual(1_900)
})

it('answers nothing to a protocol that it does not speak, and to a report that it cannot read', async () => {
  expect(await object('odd').report(PROTOCOL + 1, { settings, tally: tally() })).toBeUndefined()
  expect(await object('odd').report(PROTOCOL, null as unknown as Report)).toBeUndefined()
})
