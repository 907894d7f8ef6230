import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startEchoOrigin, type EchoOrigin } from '../support/echo-origin.ts'
import { startGateway, type RunningGateway } from '../support/gateway.ts'
import { getRaw, resetDuring, sendRaw } from '../support/raw-http.ts'
import { checkRawPaths } from '../support/raw-paths.ts'

let origin: EchoOrigin
let gateway: RunningGateway

beforeAll(async () => {
  origin = await startEchoOrigin()
  gateway = await startGateway({
    routes: {
      upstreams: { origin: { targets: [{ url: origin.url }], timeout: '60s' } },
      routes: [
        { id: 'all', match: { path: '/*' }, upstream: 'origin' },
        { id: 'small', match: { path: '/count/small' }, upstream: 'origin', policies: { bodyLimit: { max: '1kb' } } },
        { id: 'slashes', match: { path: '/slashes/*', slashes: 'keep', encodedSlash: 'keep' }, upstream: 'origin' },
        {
          id: 'dav',
          match: { path: '/dav/*', methods: ['PROPFIND', 'REPORT', 'QUERY', 'MKCOL', 'LOCK', 'PURGE'] },
          upstream: 'origin',
        },
        { id: 'health', match: { path: '/health' }, builtin: 'health' },
      ],
    },
  })
})

afterAll(async () => {
  await gateway.kill()
  await origin.stop()
})

const until = (condition: () => boolean | Promise<boolean>) =>
  vi.waitUntil(condition, { timeout: 30_000, interval: 20 })

const rssOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024

describe('the gateway under workerd serve', () => {
  it('forwards exactly what it matched, whatever was sent', () => checkRawPaths(gateway.port, origin, 300))

  it.each([
    ['a look-alike framing header', 'Transfer_Encoding: chunked\r\n', 400, 'header-invalid'],
    ['a framing header with two hyphens', 'Transfer--Encoding: chunked\r\n', 400, 'header-invalid'],
    ['a framing header with two delimiters', 'Transfer_-Encoding: chunked\r\n', 400, 'header-invalid'],
    ['a framing header with a quote', "Content-Length': 5\r\n", 400, 'header-invalid'],
    ['too many headers', Array.from({ length: 110 }, (_, i) => `X-${i}: 1\r\n`).join(''), 431, 'headers-too-large'],
    ['too large a header', `X-Large: ${'a'.repeat(33_000)}\r\n`, 431, 'headers-too-large'],
  ])('refuses %s', async (_, headers, status, code) => {
    const answer = await getRaw(gateway.port, '/x', headers)
    expect([answer.status, (JSON.parse(answer.body) as { code: string }).code]).toEqual([status, code])
  })

  it('passes on bytes that are no UTF-8, beside what it changes', async () => {
    const { body } = await getRaw(gateway.port, '/x', 'X-Latin: caf\xe9\r\nX-Real-Ip: 6.6.6.6\r\n__proto__: evil\r\n')
    const { headers } = JSON.parse(Buffer.from(body, 'latin1').toString()) as { headers: Record<string, string> }
    expect(headers).toMatchObject({ 'x-latin': 'caf\xe9', 'x-forwarded-for': '127.0.0.1' })
    expect(headers).not.toHaveProperty('x-real-ip')
    expect(body).not.toContain('evil')
  })

  it('sends several lines of Cookie on as one', async () => {
    const { body } = await getRaw(gateway.port, '/x', 'Cookie: sid=abc\r\nX-A: 1\r\nCookie: theme=dark\r\nX-A: 2\r\n')
    const { headers } = JSON.parse(body) as { headers: Record<string, string> }
    expect(headers).toMatchObject({ cookie: 'sid=abc; theme=dark', 'x-a': '1, 2' })
  })

  it.each([
    ['/slashes/300x200/https://img.example/a.png', '/slashes/300x200/https://img.example/a.png'],
    ['//slashes//a//', '/slashes//a//'],
    ['/slashes/queues/%2F/q', '/slashes/queues/%2F/q'],
    ['/slashes/a%2f%2Fb//', '/slashes/a%2F%2Fb//'],
    ['/slashes/a/../b', '/slashes/b'],
    ['/slashes/a//../b', 400],
    ['/slashes/a//%2e%2e/b', 400],
    ['/slashes/%2F../b', 400],
    ['/slashes/..%2Fb', 400],
  ])('forwards %s as %j where slashes are kept', async (sent, expected) => {
    const { status, body } = await getRaw(gateway.port, sent)
    const { target } = JSON.parse(body) as { target?: string }
    expect(status === 200 ? target : status).toBe(expected)
  })

  it.each(['PROPFIND', 'REPORT', 'QUERY', 'MKCOL', 'LOCK', 'PURGE'])(
    'sends %s on where a route names it',
    async (method) => {
      const body = '<propfind xmlns="DAV:"/>'
      const head = `${method} /dav/a HTTP/1.1\r\nHost: gw.test\r\nDepth: 1\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`
      const answer = await sendRaw(gateway.port, head + body)
      expect(answer).toMatch(/^HTTP\/1.1 200 /)
      const echoed = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as { headers: Record<string, string> }
      expect(echoed).toMatchObject({ method, target: '/dav/a', headers: { depth: '1', 'content-length': '24' } })
    },
  )

  it.each([
    ['PROPFIND', '/x', 405],
    ['ACL', '/dav/a', 501],
    ['TRACE', '/dav/a', 501],
    ['BREW', '/dav/a', 501],
  ])('refuses %s %s, which no route of the path names, with %i', async (method, path, status) => {
    const answer = await sendRaw(
      gateway.port,
      `${method} ${path} HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n`,
    )
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  })

  it('lets no client speak for the gateway', async () => {
    const spoofed =
      'X-Forwarded-For: 6.6.6.6\r\nx_forwarded_for: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nConnection: X-Forwarded-Proto\r\n'
    const { body } = await getRaw(gateway.port, '/x', spoofed)
    const { headers } = JSON.parse(body) as { headers: Record<string, string> }
    expect(headers).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'gw.test',
    })
    expect(Object.keys(headers).join()).not.toMatch(/_|forwarded,/)
  })

  it('passes a WebSocket both ways and its close', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/ws`)
    const next = <T>(event: 'open' | 'message' | 'close') =>
      new Promise<T>((resolve, reject) => {
        socket.addEventListener(event, (found) => resolve(found as T))
        socket.addEventListener('error', reject)
      })
    await next('open')
    const echoed = next<{ data: unknown }>('message')
    socket.send('hello')
    expect((await echoed).data).toBe('hello')
    const closed = next<{ code: number }>('close')
    socket.close(1000)
    expect((await closed).code).toBe(1000)
  })

  it('passes each server-sent event when it comes', async () => {
    const response = await fetch(`${gateway.url}/events`)
    const reader = response.body!.getReader()
    for (let nth = 0; nth < 3; nth++) {
      await fetch(`${gateway.url}/events/next`)
      expect(new TextDecoder().decode((await reader.read()).value)).toMatch(/^data: \d+\n\n$/)
    }
    await reader.cancel()
  })

  it('streams 100 MiB both ways in constant memory', async () => {
    await (await fetch(`${gateway.url}/large/8`)).arrayBuffer()
    const before = rssOf(gateway.pid)
    let highest = before
    let bytes = 0
    for await (const chunk of (await fetch(`${gateway.url}/large/100`)).body!) {
      bytes += (chunk as Uint8Array).byteLength
      highest = Math.max(highest, rssOf(gateway.pid))
    }
    expect(bytes).toBe(100 * 1024 ** 2)
    const mebibyte = new Uint8Array(1024 ** 2)
    let sent = 0
    const upload = new ReadableStream<Uint8Array>({
      pull(controller) {
        highest = Math.max(highest, rssOf(gateway.pid))
        if (sent++ < 100) controller.enqueue(mebibyte)
        else controller.close()
      },
    })
    const counted = await fetch(`${gateway.url}/count`, {
      method: 'POST',
      body: upload,
      // Node asks for it; the Workers' types do not know it.
      duplex: 'half',
    } as RequestInit)
    expect(await counted.text()).toBe(String(100 * 1024 ** 2))
    expect(highest - before).toBeLessThan(48)
  })

  it('stops a body that grows past its limit, and says so', async () => {
    const chunk = `400\r\n${'a'.repeat(1024)}\r\n`
    const head =
      'POST /count/small HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n'
    const answer = await sendRaw(gateway.port, `${head}${chunk.repeat(8)}0\r\n\r\n`)
    expect(answer).toMatch(/^HTTP\/1.1 413 /)
    expect(answer).toContain('"code":"body-too-large"')
  })

  it('holds nothing for 100 clients that reset in mid-request', async () => {
    const allHang = until(() => origin.hanging() === 100)
    await Promise.all(Array.from({ length: 100 }, () => resetDuring(gateway.port, '/hang', allHang)))
    await until(() => origin.hanging() === 0)
    // workerd tells the aborts one by one: the last may be a moment later than the origin's.
    await until(async () => {
      await fetch(`${gateway.url}/health`)
      return gateway.logs().at(-1)?.inFlight === 1
    })
    const gone = gateway.logs().filter((entry) => entry.status === 499)
    expect(gone).toHaveLength(100)
  })
})
