import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startEchoOrigin, type EchoOrigin } from '../support/echo-origin.ts'
import { startGateway, type RunningGateway } from '../support/gateway.ts'

const MEBIBYTE = 1024 * 1024
const UPLOAD = Buffer.alloc(12 * MEBIBYTE, 'a')

let origin: EchoOrigin
let gateway: RunningGateway

beforeAll(async () => {
  origin = await startEchoOrigin()
  const secret = { $secret: 'JWT_SECRET' }
  const limiter = {
    name: 'few',
    algorithm: 'fixed-window',
    limit: 1,
    window: '1h',
    key: ['const:all'],
    consistency: 'local',
  }
  gateway = await startGateway({
    env: { JWT_SECRET: 'a-secret-of-at-least-thirty-two-bytes' },
    routes: {
      authProviders: { main: { type: 'jwt', issuer: 'i', audience: 'a', algorithms: ['HS256'], secret } },
      upstreams: { origin: { targets: [{ url: origin.url }] } },
      routes: [
        { id: 'small', match: { path: '/413' }, upstream: 'origin', policies: { bodyLimit: { max: '1kb' } } },
        { id: 'auth', match: { path: '/401' }, upstream: 'origin', policies: { auth: { providers: ['main'] } } },
        { id: 'ip', match: { path: '/403' }, upstream: 'origin', policies: { ip: { deny: ['127.0.0.1'] } } },
        { id: 'get', match: { path: '/405', methods: ['GET'] }, upstream: 'origin' },
        { id: 'limit', match: { path: '/429' }, upstream: 'origin', policies: { rateLimit: [limiter] } },
        { id: 'moved', match: { path: '/308' }, redirect: { path: '/elsewhere' } },
        { id: 'count', match: { path: '/count' }, upstream: 'origin' },
      ],
    },
  })
  await fetch(`${gateway.url}/429`)
})

afterAll(async () => {
  await gateway.kill()
  await origin.stop()
})

/** The status that a client reads which, like Python's http.client, reads only after it has sent everything. */
function statusAfterUpload(path: string, head: string, upload: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(gateway.port, '127.0.0.1')
    let received = ''
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(received)}`)))
    socket.pause()
    socket.write(`POST ${path} HTTP/1.1\r\nHost: gw.test\r\n${head}\r\n`)
    socket.write(upload, () => {
      socket.on('data', (chunk) => {
        received += chunk.toString()
        const status = /^HTTP\/1\.1 (\d{3}) [\s\S]*\r\n\r\n/.exec(received)?.[1]
        if (status === undefined) return
        socket.removeAllListeners('close')
        socket.destroy()
        resolve(Number(status))
      })
      socket.resume()
    })
  })
}

const chunked = (data: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n0\r\n\r\n')])

describe('a refusal in the middle of an upload', () => {
  it.each([413, 401, 403, 404, 405, 429, 308])('is read by fetch, 20 of 20: %i', async (status) => {
    const statuses: number[] = []
    for (let i = 0; i < 20; i++) {
      const response = await fetch(`${gateway.url}/${status}`, { method: 'POST', body: UPLOAD, redirect: 'manual' })
      await response.arrayBuffer()
      statuses.push(response.status)
    }
    expect(statuses).toEqual(Array(20).fill(status))
  })

  it.each([413, 401, 403, 404, 405, 429, 308])(
    'is read by a client that sends everything first, with a length and chunked: %i',
    async (status) => {
      for (let i = 0; i < 4; i++) {
        expect(await statusAfterUpload(`/${status}`, `Content-Length: ${UPLOAD.length}\r\n`, UPLOAD)).toBe(status)
        expect(await statusAfterUpload(`/${status}`, 'Transfer-Encoding: chunked\r\n', chunked(UPLOAD))).toBe(status)
      }
    },
  )

  it('leaves an upload to the origin as it was', async () => {
    const response = await fetch(`${gateway.url}/count`, { method: 'POST', body: UPLOAD })
    expect(await response.text()).toBe(String(UPLOAD.length))
  })

  it('is whole before the upload ends, and no more than 32 MiB are read after it', async () => {
    const socket = connect(gateway.port, '127.0.0.1')
    socket.on('error', () => {})
    const closed = new Promise((resolve) => socket.on('close', resolve))
    socket.write('POST /404 HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n')
    const [response] = (await once(socket, 'data')) as [Buffer]
    expect(response.toString()).toMatch(/^HTTP\/1\.1 404 [^]*"code":"not-found"/)
    const chunk = Buffer.concat([
      Buffer.from(`${MEBIBYTE.toString(16)}\r\n`),
      Buffer.alloc(MEBIBYTE),
      Buffer.from('\r\n'),
    ])
    let sent = 0
    const send = () => {
      while (!socket.destroyed && sent < 200) {
        sent++
        if (!socket.write(chunk)) return
      }
    }
    socket.on('drain', send)
    send()
    await closed
    expect(sent).toBeLessThan(64)
  })
})
