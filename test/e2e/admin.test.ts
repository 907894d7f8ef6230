import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { startGateway, type RunningGateway } from '../support/gateway.ts'
import { startOrigin } from '../support/origin.ts'

const stops: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop()
})

async function put(gateway: RunningGateway, path: string, change: object): Promise<number> {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${gateway.url}/admin${path}`, { method: 'PUT', headers, body: JSON.stringify(change) })
  await response.text()
  return response.status
}

/** What the gateway answers once isolates have heard: asked for at most two seconds, which is what is promised. */
async function soon(ask: () => Promise<unknown>, expected: unknown): Promise<void> {
  await expect.poll(ask, { timeout: 2_000, interval: 50 }).toEqual(expected)
}

test('what an operator has steered survives kill -9', async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'umbral-admin-'))
  stops.push(() => rmSync(stateDir, { recursive: true, force: true }))
  const origins = [await startOrigin(), await startOrigin()] as const
  stops.push(...origins.map(({ stop }) => stop))
  const targets = origins.map(({ url }) => ({ url }))
  const routes = {
    upstreams: { users: { targets }, orders: { targets, circuitBreaker: {} } },
    routes: [
      { id: 'users', match: { path: '/users' }, upstream: 'users' },
      { id: 'orders', match: { path: '/orders' }, upstream: 'orders' },
      {
        id: 'admin',
        match: { path: '/admin/*' },
        builtin: 'admin',
        policies: { ip: { allow: ['127.0.0.0/8', '::1'] } },
      },
    ],
  }
  const start = async () => {
    const gateway = await startGateway({ routes, stateDir })
    stops.push(gateway.kill)
    return gateway
  }
  const orders = (gateway: RunningGateway) => async () => (await fetch(`${gateway.url}/orders`)).status
  const hosts = (gateway: RunningGateway) => async () => {
    const echoes = await Promise.all(Array.from({ length: 6 }, () => fetch(`${gateway.url}/users`)))
    const bodies = await Promise.all(echoes.map((echo) => echo.json() as Promise<{ headers: string[] }>))
    return new Set(bodies.map(({ headers }) => headers[headers.indexOf('Host') + 1])).size
  }

  const first = await start()
  await soon(hosts(first), 2)
  expect(await put(first, '/breakers/orders', { forced: 'open' })).toBe(200)
  expect(await put(first, '/targets/users', { target: `127.0.0.1:${origins[1].port}`, drained: true })).toBe(200)
  await soon(orders(first), 503)
  await soon(hosts(first), 1)
  await first.kill()

  const second = await start()
  await soon(orders(second), 503)
  await soon(hosts(second), 1)
  expect(await put(second, '/breakers/orders', { forced: null })).toBe(200)
  expect(await put(second, '/targets/users', { target: `127.0.0.1:${origins[1].port}`, drained: false })).toBe(200)
  await soon(orders(second), 200)
  await soon(hosts(second), 2)
})
