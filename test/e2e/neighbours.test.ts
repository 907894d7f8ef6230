import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startGateway, type RunningGateway } from '../support/gateway.ts'
import { innerCa } from '../support/inner-ca.ts'
import { listen, type Listening } from '../support/listen.ts'
import { getRaw, sendRaw } from '../support/raw-http.ts'

const folder = mkdtempSync(join(tmpdir(), 'umbral-neighbours-'))
const bundle = join(folder, 'ca.pem')
let origin: Listening
let gateway: RunningGateway

const routesOf = (port: number) => ({
  upstreams: { secure: { targets: [{ url: `https://localhost:${port}` }] } },
  routes: [
    { id: 'health', match: { methods: ['GET'], path: '/health' }, builtin: 'health' },
    { id: 'secure', match: { path: '/*' }, upstream: 'secure' },
  ],
})

beforeAll(async () => {
  writeFileSync(bundle, innerCa.authority)
  const server = createServer({ key: innerCa.key, cert: innerCa.certificate }, (request, response) =>
    response.end(request.url),
  )
  origin = await listen(server)
  gateway = await startGateway({ routes: routesOf(origin.port), env: { SSL_CERT_FILE: bundle } })
})
afterAll(async () => {
  await gateway.stop()
  await origin.stop()
  rmSync(folder, { recursive: true })
})

/** The requests of docs/self-hosting.md, as the programs named there send them. */
describe('a health check', () => {
  it.each([
    ['HAProxy with http-check send', 'GET /health HTTP/1.1\r\nhost: umbral\r\nconnection: close\r\n\r\n', 200],
    ['nginx, in HTTP/1.0', 'GET /health HTTP/1.0\r\nHost: umbral\r\nConnection: close\r\n\r\n', 200],
    [
      'an AWS load balancer',
      'GET /health HTTP/1.1\r\nHost: 10.0.0.7:8787\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n',
      200,
    ],
    ['HAProxy without a Host', 'OPTIONS / HTTP/1.0\r\n\r\n', 400],
    ['HAProxy with a method and a path alone', 'GET /health HTTP/1.0\r\n\r\n', 400],
  ])('of %s', async (_, request, status) => {
    expect(await sendRaw(gateway.port, request)).toMatch(new RegExp(`^HTTP/1\\.[01] ${status} `))
  })
})

it('reaches an origin whose certificate an authority in SSL_CERT_FILE signed, and no other', async () => {
  expect(await (await fetch(`${gateway.url}/users/7`)).text()).toBe('/users/7')
  const other = await startGateway({ routes: routesOf(origin.port) })
  const response = await fetch(`${other.url}/users/7`)
  await other.stop()
  expect(response.status).toBe(502)
})

it('sends an apostrophe of the query on as %27, as the runtime writes every URL', async () => {
  const { body } = await getRaw(gateway.port, "/it's?name=O'Hara&raw=%27")
  expect(body).toBe("/it's?name=O%27Hara&raw=%27")
})
