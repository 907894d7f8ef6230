import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { createServer, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { listen, type Listening } from '../support/listen.ts'
import { getRaw } from '../support/raw-http.ts'
import { runWorker, type RunningWorker } from '../support/run-worker.ts'

const { privateKey, publicKey } = await generateKeyPair('ES256')
const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' }] })
const token = await new SignJWT({})
  .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
  .setIssuer('https://id.test/')
  .setAudience('api')
  .setSubject('ada')
  .setExpirationTime('5m')
  .sign(privateKey)

/** What the issuer does when its keys are asked for, by path. */
const BEHAVIOURS: Record<string, (response: ServerResponse) => void> = {
  '/flood': (response) => setTimeout(() => response.end(jwks), 100),
  '/left-alone': (response) => setTimeout(() => response.end(jwks), 300),
  '/redirects': (response) => response.writeHead(302, { location: '/elsewhere' }).end(),
  '/elsewhere': (response) => response.end(jwks),
  '/redirects-to-another-host': (response) => response.writeHead(307, { location: `${elsewhere.url}/jwks` }).end(),
  '/plain': (response) => response.end(jwks),
  '/resets': (response) => response.socket?.resetAndDestroy(),
  '/never-answers': () => {},
  '/never-ends': (response) => response.write(jwks.slice(0, -2)),
  '/never-stops': (response) => {
    const more = () => response.write('x'.repeat(16_384), (error) => error ?? setImmediate(more))
    more()
  },
}

const calls: string[] = []
const callsElsewhere: string[] = []
let issuer: Listening
let elsewhere: Listening
let worker: RunningWorker

beforeAll(async () => {
  const server = createServer((request, response) => {
    calls.push(request.url!)
    BEHAVIOURS[request.url!]!(response)
  })
  issuer = await listen(server)
  const other = createServer((request, response) => {
    callsElsewhere.push(request.url!)
    response.end(jwks)
  })
  elsewhere = await listen(other)
  worker = await runWorker(join(import.meta.dirname, '../auth/wire-worker.ts'), {
    variables: { ISSUER_URL: issuer.url },
  })
})

afterAll(async () => {
  await worker.stop()
  await issuer.stop()
  await elsewhere.stop()
})

const callsOf = (path: string) => calls.filter((call) => call === path).length
const ask = (path: string) => fetch(worker.url + path, { headers: { authorization: `Bearer ${token}` } })

describe('keys over the wire, in workerd', () => {
  it('are fetched once for 50 requests that arrive together on a cold isolate', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask('/flood')))
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200))
    expect(await answers[0]!.json()).toMatchObject({ subject: 'ada', provider: 'main' })
    expect(callsOf('/flood')).toBe(1)
  })

  it('arrive although the client that caused the fetch has reset its connection', async () => {
    const client = connect(worker.port, '127.0.0.1')
    client.write(`GET /left-alone HTTP/1.1\r\nhost: gw\r\nauthorization: Bearer ${token}\r\n\r\n`)
    await vi.waitUntil(() => callsOf('/left-alone') === 1, { interval: 5, timeout: 10_000 })
    client.resetAndDestroy()
    expect((await ask('/left-alone')).status).toBe(200)
    expect(callsOf('/left-alone')).toBe(1)
  })

  it.concurrent.each([
    '/redirects',
    '/redirects-to-another-host',
    '/resets',
    '/never-answers',
    '/never-ends',
    '/never-stops',
  ])('are unavailable from an issuer that %s, within its 2 s', async (path) => {
    const startedAt = Date.now()
    const answer = await ask(path)
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toBe('2')
    expect(await answer.json()).toMatchObject({ code: 'keys-unavailable' })
    expect(Date.now() - startedAt).toBeLessThan(4_000)
    expect(callsOf(path)).toBe(1)
    expect([...callsElsewhere, callsOf('/elsewhere')]).toEqual([0])
  })
})

describe('two Authorization headers, over the wire', () => {
  const authorization = (value: string) => `Authorization: ${value}\r\n`
  const good = authorization(`Bearer ${token}`)

  it.each([
    ['the same twice', good + good],
    ['a bad one after it', good + authorization('Bearer x')],
    ['a bad one before it', authorization('Bearer x') + good],
    ['another scheme before it', authorization('Basic YTpi') + good],
    ['another scheme after it', good + authorization('Basic YTpi')],
    ['a folded one', `Authorization: Bearer\r\n ${token}\r\n`],
    ['a look-alike', `Authorization : Bearer ${token}\r\n`],
  ])('are refused: %s', async (_, headers) => {
    expect((await getRaw(worker.port, '/plain', good)).status).toBe(200)
    expect([400, 401, 500]).toContain((await getRaw(worker.port, '/plain', headers)).status)
  })
})
