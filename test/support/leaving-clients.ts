import { setTimeout as sleep } from 'node:timers/promises'
import { resetDuring } from './raw-http.ts'
import type { Scene } from './scene.ts'

/** Resolves once `holds` says so; rejects, naming `what`, when it does not within `ms` milliseconds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const end = Date.now() + ms
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`expected within ${ms} ms: ${what}`)
    await sleep(20)
  }
}

/** `total` clients ask at once and reset, all together, when the only origin has every one of their requests. Rejects when one does not get there. */
export async function leaveTogether({ gateway, origins }: Scene, total: number): Promise<void> {
  const before = origins[0]!.ledger().length
  const arrived = until(`${total} requests at the origin`, () => origins[0]!.ledger().length - before >= total, 30_000)
  const clients = Array.from({ length: total }, () => resetDuring(gateway.port, '/hang', arrived))
  await Promise.all([arrived, ...clients])
}

/** `total` clients ask and reset soon after, each in a time of its own: from before the gateway has read the request to long after. */
export async function leaveOneByOne({ gateway }: Scene, total: number): Promise<void> {
  const clients = Array.from({ length: total }, (_, nth) => resetDuring(gateway.port, '/hang', sleep(nth % 150)))
  await Promise.all(clients)
}

/** How many requests the gateway is working on besides this question, from the log line of a request of our own. */
export async function requestsInFlight({ gateway, call }: Scene): Promise<number> {
  const isOurs = ({ path }: Record<string, unknown>) => path === '/-/health'
  const before = gateway.logs().filter(isOurs).length
  await call('/-/health')
  await until('a log line', () => gateway.logs().filter(isOurs).length > before)
  return Number(gateway.logs().findLast(isOurs)!.inFlight) - 1
}
