import { leaveOneByOne, leaveTogether, requestsInFlight, until } from '../test/support/leaving-clients.ts'
import { startScene, type Scene } from '../test/support/scene.ts'
import { atLeast, atMost, single, type Figure } from './statistics.ts'

const ADMIN = {
  id: 'admin',
  match: { path: '/-/admin/*' },
  builtin: 'admin',
  policies: { ip: { allow: ['127.0.0.0/8'] } },
}
const SETTLING_MS = 3_000

/** Measures what the gateway still holds after `total` clients have reset while the origin hung: by its access log and admin endpoint, and by a second wave of requests. */
export async function measureLeavingClients(total: number): Promise<Figure[]> {
  const breaker = { minimumRequests: 10, openDuration: '300ms', maxOpenDuration: '300ms' }
  const scene = await startScene({
    upstream: { timeout: '60s', maxConcurrent: total, circuitBreaker: breaker },
    routes: [ADMIN],
  })
  try {
    const [origin] = scene.origins
    await origin!.behave({ kind: 'hang' })
    await leaveOneByOne(scene, total)
    const afterOne = await settledInFlight(scene)
    await leaveTogether(scene, total)
    const afterAll = await settledInFlight(scene)
    const arrived = origin!.ledger().length
    await leaveTogether(scene, total)
    const again = origin!.ledger().length - arrived
    await probeAndLeave(scene, total)
    const leases = await settled(async () => Number(await leasesOut(scene)))
    const afterProbes = await settledInFlight(scene)
    const zero = (name: string, value: number): Figure => ({ name, value: single(value), unit: '', target: atMost(0) })
    return [
      zero(`in flight after ${total} left one by one`, afterOne),
      zero(`in flight after ${total} left at once`, afterAll),
      { name: 'admitted then, maxConcurrent being as many', value: single(again), unit: '', target: atLeast(total) },
      zero('probe leases out after probing clients left', leases),
      zero('in flight after that', afterProbes),
    ]
  } finally {
    await scene.stop()
  }
}

/** Opens the breaker, then sends and aborts `total` requests while probes are due and hang. */
async function probeAndLeave(scene: Scene, total: number): Promise<void> {
  const [origin] = scene.origins
  await origin!.behave({ kind: 'answer', status: 503 })
  await until('an open breaker', async () => (await scene.call('/failing')).code === 'circuit-open')
  await origin!.behave({ kind: 'hang' })
  const before = origin!.ledger().length
  await until('three probes in turn', async () => {
    await leaveOneByOne(scene, Math.ceil(total / 5))
    return origin!.ledger().length - before >= 3
  })
}

async function leasesOut({ call }: Scene): Promise<unknown> {
  const { status, body } = await call('/-/admin/breakers/shop')
  if (status !== 200) throw new Error(`the admin endpoint responded ${status}: ${body}`)
  return (JSON.parse(body) as { leases: number }).leases
}

const settledInFlight = (scene: Scene) => settled(() => requestsInFlight(scene))

/** The count when it has become 0, or its value after three seconds. */
async function settled(count: () => Promise<number>): Promise<number> {
  await until('0', async () => (await count()) === 0, SETTLING_MS).catch(() => undefined)
  return count()
}
