import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startEchoOrigin, type EchoOrigin } from '../support/echo-origin.ts'
import { startLoad, startSupervised, statusOf, type Supervised } from '../support/supervised.ts'

let origin: EchoOrigin
let gateway: Supervised

const admin = {
  id: 'admin',
  match: { path: '/admin/*' },
  builtin: 'admin',
  policies: { ip: { allow: ['127.0.0.0/8'] } },
}
/** Routes with `/plain`, and one more, `/more`, that responds with `status`. */
const routesOf = (status: number, more: object = {}) => ({
  upstreams: { origin: { targets: [{ url: origin.url }] } },
  routes: [
    { id: 'plain', match: { path: '/plain' }, upstream: 'origin' },
    { id: 'events', match: { path: '/events' }, upstream: 'origin' },
    { id: 'ws', match: { path: '/ws' }, upstream: 'origin' },
    { id: 'more', match: { path: '/more' }, respond: { status } },
    admin,
  ],
  ...more,
})

beforeAll(async () => {
  origin = await startEchoOrigin()
  gateway = await startSupervised(routesOf(200), { workers: 2, env: { OTHER_URL: `${origin.url}/other` } })
})
afterAll(async () => {
  await gateway.stop()
  await origin.stop()
})

const statuses = (path: string, count = 16) =>
  Promise.all(Array.from({ length: count }, () => statusOf(`${gateway.url}${path}`)))

describe('reloading the routes', () => {
  it('takes effect in all processes, also in one that starts later', async () => {
    gateway.write(routesOf(201))
    await gateway.reload()
    expect(new Set(await statuses('/more'))).toEqual(new Set([201]))
    const [victim] = gateway.processes().workers
    process.kill(victim!.pid, 'SIGKILL')
    await victim!.ended
    await vi.waitFor(() => expect(gateway.processes().workers).toHaveLength(2), { timeout: 5_000, interval: 20 })
    expect(new Set(await statuses('/more'))).toEqual(new Set([201]))
  })

  it('changes nothing when the file has mistakes, and names them', async () => {
    gateway.write({ ...routesOf(202), upstrems: {} })
    await expect(gateway.reload()).rejects.toThrow(/upstrems: unknown key; did you mean "upstreams"\?/)
    gateway.write('{ "version": 1, ')
    await expect(gateway.reload()).rejects.toThrow(/routes\.json:1:\d+: /)
    gateway.write(routesOf(202, { upstreams: { origin: { targets: [{ url: { $env: 'UNSET_URL' } }] } } }))
    await expect(gateway.reload()).rejects.toThrow('the variable UNSET_URL is not set')
    expect(new Set(await statuses('/more'))).toEqual(new Set([201]))
  })

  it('fails no request under load, also with files that have mistakes between', async () => {
    const load = startLoad(`${gateway.url}/plain`, 8)
    for (let nth = 0; nth < 10; nth++) {
      gateway.write(routesOf(203))
      await gateway.reload()
      gateway.write({ ...routesOf(204), upstrems: {} })
      await expect(gateway.reload()).rejects.toThrow('upstrems')
    }
    const results = await load.stop()
    expect(Object.keys(results)).toEqual(['200'])
    expect(results['200']).toBeGreaterThan(100)
    expect(new Set(await statuses('/more'))).toEqual(new Set([203]))
  })

  it('lets streams and WebSockets of the routes before go on', async () => {
    const response = await fetch(`${gateway.url}/events`)
    const reader = response.body!.getReader()
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/ws`)
    await new Promise((opened) => socket.addEventListener('open', opened))
    gateway.write({ ...routesOf(204), routes: [{ id: 'more', match: { path: '/more' }, respond: { status: 204 } }] })
    await gateway.reload()
    expect(new Set(await statuses('/plain'))).toEqual(new Set([404]))
    await fetch(`${origin.url}/events/next`)
    expect(new TextDecoder().decode((await reader.read()).value)).toMatch(/^data: /)
    const echoed = new Promise<unknown>((resolve) => socket.addEventListener('message', ({ data }) => resolve(data)))
    socket.send('still here')
    expect(await echoed).toBe('still here')
    socket.close()
    await reader.cancel()
  })

  it('brings variables that the routes before did not name', async () => {
    gateway.write({
      upstreams: { other: { targets: [{ url: { $env: 'OTHER_URL' } }] } },
      routes: [{ id: 'all', match: { path: '/*' }, upstream: 'other' }],
    })
    await gateway.reload()
    const { target } = (await (await fetch(`${gateway.url}/x`)).json()) as { target: string }
    expect(target).toBe('/other/x')
  })

  it('is an endpoint of the admin API, which says what is wrong', async () => {
    gateway.write(routesOf(205))
    await gateway.reload()
    gateway.write(routesOf(206))
    const reload = () => fetch(`${gateway.url}/admin/reload`, { method: 'POST' })
    expect(await (await reload()).json()).toEqual({ reloaded: true, audited: true })
    expect(new Set(await statuses('/more'))).toEqual(new Set([206]))
    gateway.write({ ...routesOf(200), upstrems: {} })
    const refused = await reload()
    expect([refused.status, await refused.json()]).toEqual([
      400,
      expect.objectContaining({ detail: expect.stringContaining('did you mean "upstreams"?') as string }) as object,
    ])
    expect(new Set(await statuses('/more'))).toEqual(new Set([206]))
  })
})

it('npm run serve reloads at SIGHUP, and with --watch when the file changes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'umbral-reload-'))
  const file = join(folder, 'routes.json')
  const write = (status: number) =>
    writeFileSync(
      file,
      JSON.stringify({ version: 1, routes: [{ id: 'a', match: { path: '/a' }, respond: { status } }] }),
    )
  write(201)
  const args = ['deploy/serve.ts', '--port', '0', '--routes', file, '--state', join(folder, 'state'), '--watch']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const url = await vi.waitFor(() => /Umbral is at (\S+)/.exec(output)![1]!, { timeout: 30_000, interval: 20 })
  const answers = (status: number) =>
    vi.waitFor(async () => expect(await statusOf(`${url}/a`)).toBe(status), { timeout: 10_000, interval: 50 })
  await answers(201)
  write(202)
  await answers(202)
  writeFileSync(file, '{')
  await vi.waitFor(() => expect(output).toContain('The gateway goes on with the routes that it has.'), {
    timeout: 10_000,
    interval: 20,
  })
  const taken = () => output.split('is taken').length
  const before = taken()
  write(203)
  child.kill('SIGHUP')
  await answers(203)
  await vi.waitFor(() => expect(taken()).toBeGreaterThan(before), { timeout: 10_000, interval: 20 })
  child.kill('SIGTERM')
  const [code] = (await once(child, 'exit')) as [number]
  rmSync(folder, { recursive: true, force: true })
  expect(code).toBe(0)
})
