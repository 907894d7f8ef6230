import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { prepareGateway } from '../../deploy/gateway.ts'
import { startGateway, type RunningGateway } from '../support/gateway.ts'
import { innerCa } from '../support/inner-ca.ts'
import { listen, type Listening } from '../support/listen.ts'
import { getRaw, sendRaw } from '../support/raw-http.ts'

const folder = mkdtempSync(join(tmpdir(), 'umbral-neighbours-'))
const authorities = join(folder, 'authorities')
const bundle = join(authorities, 'ca.pem')
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
  mkdirSync(authorities)
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

describe('an origin whose certificate an inner authority signed', () => {
  const statusWith = async (env: Record<string, string>) => {
    const other = await startGateway({ routes: routesOf(origin.port), env })
    const { status } = await fetch(`${other.url}/users/7`)
    await other.stop()
    return status
  }

  it('is reached with the authority in SSL_CERT_FILE, and only then', async () => {
    expect(await (await fetch(`${gateway.url}/users/7`)).text()).toBe('/users/7')
    expect(await statusWith({})).toBe(502)
  })

  it('is reached with the authority in the folder SSL_CERT_DIR, which SSL_CERT_FILE does not replace', async () => {
    const other = join(folder, 'other.pem')
    writeFileSync(other, rootCertificates[0]!)
    expect(await statusWith({ SSL_CERT_FILE: other, SSL_CERT_DIR: authorities })).toBe(200)
    expect(await statusWith({ SSL_CERT_FILE: other, SSL_CERT_DIR: join(folder, 'none') })).toBe(502)
  })
})

it.each([
  ['missing.pem', undefined, 'cannot be read (ENOENT)'],
  ['empty.pem', 'no certificate', 'has no certificate in PEM'],
])('warns about SSL_CERT_FILE=%s, which workerd ignores', async (name, content, message) => {
  const file = join(folder, name)
  if (content !== undefined) writeFileSync(file, content)
  const routes = join(folder, 'routes.json')
  writeFileSync(routes, JSON.stringify({ version: 1, ...routesOf(origin.port) }))
  const lines: string[] = []
  await prepareGateway({ routes, env: { SSL_CERT_FILE: file }, warn: (line) => lines.push(line) }, folder)
  expect(lines).toEqual([`SSL_CERT_FILE: ${file} ${message}`])
})

it('sends an apostrophe of the query on as %27, as the runtime writes every URL', async () => {
  const { body } = await getRaw(gateway.port, "/it's?name=O'Hara&raw=%27")
  expect(body).toBe("/it's?name=O%27Hara&raw=%27")
})
