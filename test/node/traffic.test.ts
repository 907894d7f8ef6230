import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { crowd, startCallers, type CallOptions } from '../support/callers.ts'
import { startGateway } from '../support/gateway.ts'
import { listen } from '../support/listen.ts'
import { resetDuring } from '../support/raw-http.ts'

interface Arrival {
  readonly method: string
  readonly target: string
  readonly mark: string | undefined
  readonly user: string | undefined
  body: string
  /** Whether the answer was sent to its end; undefined while it is not decided. */
  answered: boolean | undefined
}

/** A real origin that writes down what it gets and answers its name, `delayMs` after the request; never with `Infinity`. */
async function startOrigin(name: string, delayMs = 0) {
  const ledger: Arrival[] = []
  const respond = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url: target = '', headers } = request
    const mark = headers['x-umbral-mirror'] as string | undefined
    const user = headers['x-user'] as string | undefined
    const arrival: Arrival = { method, target, mark, user, body: '', answered: undefined }
    ledger.push(arrival)
    response.on('close', () => (arrival.answered = response.writableFinished))
    for await (const chunk of request.setEncoding('latin1')) arrival.body += chunk as string
    if (delayMs === Infinity) return
    if (delayMs > 0) await new Promise((passed) => setTimeout(passed, delayMs))
    response.end(name)
  }
  const origin = await listen(createServer((request, response) => void respond(request, response).catch(() => {})))
  running.push(origin.stop)
  return { ...origin, ledger }
}

const running: (() => unknown)[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((stop) => stop()))
})

async function start(policies: object, urls: Readonly<Record<string, string>>) {
  const upstreams = Object.fromEntries(
    Object.entries(urls).map(([name, url]) => [name, { targets: [{ url }], timeout: '15s' }]),
  )
  const routes = [{ id: 'all', match: { path: '/*' }, upstream: 'users', policies }]
  const gateway = await startGateway({ routes: { upstreams, routes } })
  const callers = startCallers(gateway.url)
  running.push(gateway.kill, callers.stop)
  return { ...gateway, call: callers.call }
}

/** Asks again and again, up to two seconds, until it is so. */
async function soon(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !isSo(); i++) await new Promise((passed) => setTimeout(passed, 10))
  expect(isSo()).toBe(true)
}

describe('split', () => {
  it('takes each caller to one side, also in a gateway that is started anew, and the share is right at the origins', async () => {
    const [users, next] = await Promise.all([startOrigin('users'), startOrigin('next')])
    const policies = {
      split: [{ upstream: 'next', percent: 20, stickyOn: 'header:x-user', overrideHeader: 'x-canary' }],
    }
    const names = Array.from({ length: 500 }, (_, i) => `user-${i}`)
    const rounds: string[][] = []
    for (let round = 0; round < 2; round++) {
      const { call, kill } = await start(policies, { users: users.url, next: next.url })
      const answers = await crowd(8, names.length, (i) => call('/x', { headers: { 'x-user': names[i]! } }))
      rounds.push(answers.map(({ body }) => body))
      if (round > 0) {
        const said = async (value: string) => (await call('/x', { headers: { 'x-canary': value } })).body
        expect([await said('next'), await said('users'), (await call('/x')).body]).toEqual(['next', 'users', 'users'])
      }
      await kill()
    }
    expect(rounds[0]).toEqual(rounds[1])
    const sides = [users, next].map(({ ledger }) => new Set(ledger.flatMap(({ user }) => user ?? [])))
    expect(sides[0]!.size + sides[1]!.size).toBe(500)
    expect(Math.abs(sides[1]!.size / 5 - 20)).toBeLessThan(4)
  })
})

describe('mirror', () => {
  const policies = { mirror: { upstream: 'shadow' } }

  it('gives the shadow the same requests, marked, but for bodies that stream', async () => {
    const [users, shadow] = await Promise.all([startOrigin('users'), startOrigin('shadow')])
    const { call } = await start(policies, { users: users.url, shadow: shadow.url })
    const calls: [string, CallOptions][] = [
      ['/a?b=c', {}],
      ['/d', { method: 'DELETE' }],
      ['/p', { method: 'POST', body: 'hello' }],
      ['/big', { method: 'PUT', body: 'x'.repeat(200_000) }],
    ]
    for (const [path, options] of calls) expect((await call(path, options)).body).toBe('users')
    await soon(() => shadow.ledger.length >= 2)
    const told = ({ method, target, mark }: Arrival) => `${method} ${target} ${mark}`
    expect(shadow.ledger.map(told)).toEqual(['GET /a?b=c 1', 'DELETE /d 1'])
    expect(users.ledger.map(told)).toEqual([
      'GET /a?b=c undefined',
      'DELETE /d undefined',
      'POST /p undefined',
      'PUT /big undefined',
    ])
    expect(users.ledger.map(({ body }) => body.length)).toEqual([0, 0, 5, 200_000])
  })

  it.each<[what: string, delayMs: number | undefined]>([
    ['dead', undefined],
    ['hanging', Infinity],
    ['slow', 3_000],
  ])('leaves the answers and their time alone when the shadow is %s', async (_, delayMs) => {
    const [users, shadow] = await Promise.all([startOrigin('users', 5), startOrigin('shadow', delayMs ?? 0)])
    if (delayMs === undefined) await shadow.stop()
    const { call } = await start(policies, { users: users.url, shadow: shadow.url })
    await call('/warm')
    const times: number[] = []
    for (let i = 0; i < 30; i++) {
      const answers = await Promise.all(Array.from({ length: 10 }, () => call('/x')))
      for (const { status, body, ms } of answers) {
        expect([status, body]).toEqual([200, 'users'])
        times.push(ms)
      }
    }
    expect(users.ledger).toHaveLength(301)
    // Whoever waited for the shadow would have waited for 3 s, or for its timeout of 15 s.
    expect(Math.max(...times)).toBeLessThan(2_500)
    if (delayMs === Infinity) {
      expect(shadow.ledger).toHaveLength(100)
      expect((await call('/y')).ms).toBeLessThan(2_500)
    }
  })

  it('is not ended by a client that resets', async () => {
    const [users, shadow] = await Promise.all([startOrigin('users', Infinity), startOrigin('shadow', 300)])
    const { port } = await start(policies, { users: users.url, shadow: shadow.url })
    await resetDuring(
      port,
      '/x',
      soon(() => shadow.ledger.length === 1 && users.ledger.length === 1),
    )
    await soon(() => shadow.ledger[0]!.answered === true)
    await soon(() => users.ledger[0]!.answered === false)
  })

  it('does not open WebSockets', async () => {
    const [users, shadow] = await Promise.all([startOrigin('users'), startOrigin('shadow')])
    const { port } = await start(policies, { users: users.url, shadow: shadow.url })
    const socket = connect(port, '127.0.0.1')
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13'
    socket.write(`GET /ws HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n\r\n`)
    await once(socket, 'data')
    socket.destroy()
    expect([users.ledger.length, shadow.ledger.length]).toEqual([1, 0])
  })
})
