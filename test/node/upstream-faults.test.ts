import type { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { http, rawRequest, startFaultOrigin, type FaultOrigin } from '../support/fault-origin.ts'
import { serveUpstream, type ServedUpstream } from '../support/served-upstream.ts'

const FAULTS: Readonly<Record<string, (socket: Socket) => void>> = {
  '/rst': (socket) => socket.resetAndDestroy(),
  '/fin': (socket) => socket.end(),
  '/half': (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Le'),
  '/garbage': (socket) => socket.end('\0\0\0 what is this\r\n\r\n'),
  '/hang': () => {},
  '/100': (socket) => socket.write('HTTP/1.1 100 Continue\r\n\r\n' + http(200)),
  '/102': (socket) => socket.write('HTTP/1.1 102 Processing\r\n\r\n' + http(200)),
  '/101': (socket) =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nraw'),
  '/103': (socket) => {
    socket.write('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n')
    setTimeout(() => socket.write(http(200)), 50)
  },
  '/103-alone': (socket) => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'),
  '/999': (socket) => socket.write(http(999)),
  '/hop': (socket) =>
    socket.write(
      http(200, [
        'Connection: X-Internal, keep-alive',
        'X-Internal: 10.0.0.7',
        'Keep-Alive: timeout=5',
        'Proxy-Authenticate: Basic',
        'Proxy-Connection: keep-alive',
        'TE: trailers',
        'Trailer: x-t',
        'Upgrade: h2c',
        'X-Kept: yes',
      ]),
    ),
  '/length-and-chunks': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n')
    socket.end('5\r\nhello\r\n0\r\n\r\n')
  },
  '/moved': (socket) => socket.write(http(302, ['Location: /elsewhere'])),
  '/pause': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    setTimeout(() => socket.end('5\r\nworld\r\n0\r\n\r\n'), 1_000)
  },
  '/pause-length': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
    setTimeout(() => socket.end('world'), 1_000)
  },
}

let origin: FaultOrigin
let gateway: ServedUpstream

beforeAll(async () => {
  origin = await startFaultOrigin((path, socket) => (FAULTS[path] ?? (() => socket.write(http(200))))(socket))
  gateway = await serveUpstream({ targets: [{ url: origin.url }], timeout: '400ms', idleTimeout: '200ms' })
})
afterAll(async () => {
  await gateway.stop()
  await origin.stop()
})

describe('an origin that fails', () => {
  it.each([
    ['/rst', 502, 'upstream-unreachable'],
    ['/fin', 502, 'upstream-unreachable'],
    ['/half', 502, 'upstream-unreachable'],
    ['/garbage', 502, 'upstream-unreachable'],
    ['/hang', 504, 'upstream-timeout'],
    ['/101', 502, 'upstream-protocol'],
    ['/103-alone', 504, 'upstream-timeout'],
    ['/999', 502, 'upstream-protocol'],
  ])('%s is %i %s', async (path, status, code) => {
    const response = await fetch(gateway.url + path)
    const text = await response.text()
    expect(response.status).toBe(status)
    expect(JSON.parse(text)).toMatchObject({ code })
    expect(text).not.toContain('127.0.0.1')
  })

  it.each(['/100', '/102', '/103'])('%s is an interim answer: the final one counts', async (path) => {
    const response = await fetch(gateway.url + path)
    expect([response.status, await response.text()]).toEqual([200, 'ok'])
  })

  it.each(['GET', 'HEAD'])('passes an answer on that states a length and chunks at once: %s', async (method) => {
    const head = `${method} /length-and-chunks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`
    const answer = await rawRequest(gateway.port, head)
    expect(answer).toMatch(/^HTTP\/1.1 200/)
    expect(answer).not.toContain('Content-Length')
    expect(answer.includes('hello')).toBe(method === 'GET')
  })

  it('passes redirects on', async () => {
    const response = await fetch(`${gateway.url}/moved`, { redirect: 'manual' })
    expect([response.status, response.headers.get('location')]).toEqual([302, '/elsewhere'])
  })

  it('keeps hop-by-hop headers from the client', async () => {
    const answer = await rawRequest(gateway.port, 'GET /hop HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    const names = [...answer.matchAll(/^([\w-]+):/gm)].map((found) => found[1]!.toLowerCase())
    expect(names.toSorted()).toEqual(['connection', 'content-length', 'x-kept'])
    expect(answer).toContain('Connection: close')
  })

  it.each(['/pause', '/pause-length'])('cuts off a body that pauses (%s)', async (path) => {
    const started = Date.now()
    await expect(fetch(gateway.url + path).then((response) => response.text())).rejects.toThrow('terminated')
    expect(Date.now() - started).toBeLessThan(900)
  })
})

it('reaches an origin whose idle connections die just as they are used again', async () => {
  const uses = new WeakMap<Socket, number>()
  const dying = await startFaultOrigin((_, socket) => {
    uses.set(socket, (uses.get(socket) ?? 0) + 1)
    if (uses.get(socket) === 5) socket.resetAndDestroy()
    else socket.write(http(200))
  })
  const plain = await serveUpstream({ targets: [{ url: dying.url }] })
  const statuses: number[] = []
  for (let nth = 0; nth < 16; nth++) {
    const response = await fetch(plain.url)
    await response.text()
    statuses.push(response.status)
  }
  await plain.stop()
  await dying.stop()
  expect(statuses).toEqual(Array.from({ length: 16 }, () => 200))
  // Otherwise no connection was used twice, and the test shows nothing.
  expect(dying.received.length).toBeGreaterThan(16)
})

it('keeps what only a failed try called hop-by-hop', async () => {
  let tries = 0
  const flaky = await startFaultOrigin((_, socket) =>
    socket.write(
      ++tries === 1 ? http(503, ['Connection: X-Kept, keep-alive', 'X-Kept: no']) : http(200, ['X-Kept: yes']),
    ),
  )
  const retrying = await serveUpstream({ targets: [{ url: flaky.url }], retry: {} })
  const response = await fetch(retrying.url)
  await retrying.stop()
  await flaky.stop()
  expect([response.status, response.headers.get('x-kept'), tries]).toEqual([200, 'yes', 2])
})

describe('a client that misbehaves', () => {
  const post = (path: string, head: string) =>
    `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${head}\r\n\r\n`

  it.each([
    ['breaks the chunks', (socket: Socket) => void socket.write('ZZZ\r\n')],
    ['ends in the middle', (socket: Socket) => void socket.end()],
  ])('never lets half an upload look whole when it %s', async (_, then) => {
    origin.received.length = 0
    await rawRequest(gateway.port, `${post('/hang', 'Transfer-Encoding: chunked')}5\r\nhello\r\n`, then)
    expect(origin.received[0]).toContain('hello')
    expect(origin.received[0]).not.toContain('\r\n0\r\n\r\n')
  })

  it.each([
    ['stays, and sends no more', 700, 'HTTP/1.1 408'],
    ['ends in the middle', 100, 'HTTP/1.1 499'],
  ])('answers whoever %s of a body that is kept for a retry', async (_, ms, answered) => {
    const methods = ['PUT']
    const retry = { methods }
    const retrying = await serveUpstream({ targets: [{ url: origin.url }], uploadIdleTimeout: '300ms', retry })
    const head = 'PUT /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n'
    const answer = await rawRequest(retrying.port, `${head}hello`, (socket) => void socket.end(), ms)
    await retrying.stop()
    expect(answer.slice(0, 12)).toBe(answered)
  })

  it('sends GET without its body', async () => {
    const answer = await rawRequest(
      gateway.port,
      'GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello',
    )
    expect(answer).toMatch(/^HTTP\/1.1 200/)
  })

  it('passes on the length of an upload', async () => {
    origin.received.length = 0
    await fetch(`${gateway.url}/ok`, { method: 'POST', body: 'hello' })
    expect(origin.received[0]).toContain('Content-Length: 5')
  })

  it('leaves nothing in flight when 100 clients reset', async () => {
    const resets = Array.from({ length: 100 }, () =>
      rawRequest(gateway.port, 'GET /hang HTTP/1.1\r\nHost: a\r\n\r\n', (socket) => socket.resetAndDestroy(), 150),
    )
    await vi.waitFor(async () => expect((await gateway.state()).inFlight).toBe(100), { interval: 20 })
    await Promise.all(resets)
    await vi.waitFor(async () => expect((await gateway.state()).inFlight).toBe(0), { timeout: 200, interval: 20 })
    await vi.waitFor(() => expect(origin.open()).toBeLessThanOrEqual(1), { interval: 20 })
  })
})
