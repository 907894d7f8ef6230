import { afterEach, expect, it } from 'vitest'
import { crowd } from '../support/callers.ts'
import { leaveOneByOne, leaveTogether, requestsInFlight, until } from '../support/leaving-clients.ts'
import { startScene, type Scene } from '../support/scene.ts'

const CLIENTS = 1_000

let scene: Scene
afterEach(() => scene.stop())

it('holds nothing for 1,000 clients who reset while the origin hangs', async () => {
  scene = await startScene({ upstream: { timeout: '60s', maxConcurrent: CLIENTS } })
  const { call, origins } = scene
  await origins[0]!.behave({ kind: 'hang' })
  await leaveOneByOne(scene, CLIENTS)
  await until('nothing in flight', async () => (await requestsInFlight(scene)) === 0)
  // Every place that `maxConcurrent` gives is free: as many get through once more, and then again.
  await leaveTogether(scene, CLIENTS)
  await until('nothing in flight', async () => (await requestsInFlight(scene)) === 0)
  await leaveTogether(scene, CLIENTS)
  await until('nothing in flight', async () => (await requestsInFlight(scene)) === 0)
  await origins[0]!.behave({ kind: 'answer' })
  expect((await call('/after')).status).toBe(200)
  expect(JSON.parse((await call('/-/health')).body)).toMatchObject({ status: 'healthy' })
})

it('gives the leases back of probes whose clients reset', async () => {
  const circuitBreaker = { minimumRequests: 10, openDuration: '300ms', maxOpenDuration: '300ms' }
  // A lease that is not given back is kept for as long as its request may take.
  scene = await startScene({ upstream: { timeout: '60s', circuitBreaker } })
  const { call, origins } = scene
  await origins[0]!.behave({ kind: 'answer', status: 503 })
  await crowd(5, 20, () => call('/failing'))
  await until('an open circuit', async () => (await call('/failing')).code === 'circuit-open')
  await origins[0]!.behave({ kind: 'hang' })
  const probes = () => origins[0]!.ledger().filter(({ outcome }) => outcome === 'hang').length
  await until('three probes in turn', async () => {
    await leaveOneByOne(scene, CLIENTS / 10)
    return probes() >= 3
  })
  await origins[0]!.behave({ kind: 'answer' })
  await until('a closed circuit', async () => (await call('/after')).status === 200)
  await until('nothing in flight', async () => (await requestsInFlight(scene)) === 0)
})
