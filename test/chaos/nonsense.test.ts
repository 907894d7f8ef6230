import type { Socket } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { tally } from '../support/callers.ts'
import { http, startFaultOrigin, type FaultOrigin } from '../support/fault-origin.ts'
import { startScene, type Scene } from '../support/scene.ts'

const head = (...lines: string[]) => ['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n')
const elsewhere = () => `Location: ${scene.origins[0]!.url}/internal`

/** What an origin may send in place of an answer. */
const NONSENSE: Readonly<Record<string, (socket: Socket) => void>> = {
  '/no-status': (socket) => socket.end('HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok'),
  '/status-in-words': (socket) => socket.end('HTTP/1.1 two OK\r\nContent-Length: 2\r\n\r\nok'),
  '/status-99': (socket) => socket.end('HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nok'),
  '/status-1000': (socket) => socket.end('HTTP/1.1 1000 High\r\nContent-Length: 2\r\n\r\nok'),
  '/status-600': (socket) => socket.end(http(600)),
  '/http-9': (socket) => socket.end('HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\nok'),
  '/tls': (socket) => socket.end(Buffer.from([0x15, 3, 1, 0, 2, 2, 70])),
  '/two-lengths': (socket) => socket.end(`${head('Content-Length: 2', 'Content-Length: 40')}ok`),
  '/negative-length': (socket) => socket.end(`${head('Content-Length: -2')}ok`),
  '/length-in-words': (socket) => socket.end(`${head('Content-Length: two')}ok`),
  '/no-colon': (socket) => socket.end(`${head('Content-Length: 2', 'what is this')}ok`),
  '/nul-in-header': (socket) => socket.end(`${head('Content-Length: 2', 'X-A: a\0b')}ok`),
  '/unknown-coding': (socket) => socket.end(`${head('Transfer-Encoding: squeezed')}ok`),
  '/long-header': (socket) => socket.end(`${head(`X-Long: ${'x'.repeat(2 ** 20)}`, 'Content-Length: 2')}ok`),
  '/endless-headers': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n')
    const flood = () => {
      while (!socket.destroyed && socket.write(`X-More: ${'x'.repeat(1_000)}\r\n`));
    }
    socket.on('drain', flood)
    flood()
  },
  '/broken-chunks': (socket) => socket.end(`${head('Transfer-Encoding: chunked')}5\r\nhello\r\nZZZ\r\n`),
  '/short-body': (socket) => socket.end(`${head('Content-Length: 40')}hello`),
  '/moved': (socket) => socket.write(http(302, [elsewhere()])),
  '/moved-post': (socket) => socket.write(http(307, [elsewhere()])),
}

let origin: FaultOrigin
let scene: Scene

beforeAll(async () => {
  origin = await startFaultOrigin((path, socket) => (NONSENSE[path] ?? (() => socket.write(http(200))))(socket))
  scene = await startScene({ upstream: { timeout: '2s', retry: null }, targets: async () => [origin.url] })
})
afterAll(async () => {
  await scene.stop()
  await origin.stop()
})

it.each(Object.keys(NONSENSE).slice(0, 15))('answers 502 with its own code for %s', async (path) => {
  const answer = await scene.call(path)
  expect([answer.status, answer.code]).toEqual([502, expect.stringMatching(/^upstream-(unreachable|protocol)$/)])
  expect(answer.body).not.toContain('127.0.0.1')
  expect(origin.received.filter((text) => text.startsWith(`GET ${path} `))).toHaveLength(1)
})

it.each(['/broken-chunks', '/short-body'])('never lets %s look whole', async (path) => {
  expect(await scene.call(path)).toMatchObject({ status: 200, isWhole: false, body: 'hello' })
})

it.each([
  ['/moved', 'GET', 302],
  ['/moved-post', 'POST', 307],
])('passes a redirect to elsewhere on (%s) and does not follow it', async (path, method, status) => {
  const answer = await scene.call(path, { method })
  expect([answer.status, answer.headers.location]).toEqual([status, `${scene.origins[0]!.url}/internal`])
  expect(scene.origins[0]!.ledger()).toEqual([])
})

it('serves the next caller as if nothing had happened', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => scene.call('/well')))
  expect(tally(answers)).toEqual({ 200: 20 })
})
