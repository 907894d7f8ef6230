import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { workerdConfig } from '../../deploy/config.ts'
import { buildRoutes, buildWorker, cacheSpec, singleFileSpec } from '../../deploy/worker.ts'
import { startWorkerd } from '../../deploy/workerd.ts'
import { startGateway } from '../support/gateway.ts'
import { startOrigin, type Origin } from '../support/origin.ts'

const ROOT = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'umbral-serve-'))
const running: Output[] = []
let origin: Origin

beforeAll(async () => {
  origin = await startOrigin()
})

const stops: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
  for (const { child, exit } of running.splice(0)) {
    child.kill('SIGTERM')
    await exit
  }
})

afterAll(async () => {
  await origin.stop()
  rmSync(folder, { recursive: true, force: true })
})

const ROUTES = {
  version: 1,
  upstreams: { origin: { targets: [{ url: { $env: 'SERVE_TEST_ORIGIN' } }] } },
  routes: [
    { id: 'origin', match: { path: '/*' }, upstream: 'origin' },
    {
      id: 'thrice',
      match: { path: '/thrice' },
      respond: { status: 204 },
      policies: {
        rateLimit: [{ name: 'thrice', algorithm: 'fixed-window', limit: 3, window: '31d', key: ['const:all'] }],
      },
    },
  ],
}

function writeRoutes(name: string, content: unknown): string {
  const file = join(folder, name)
  writeFileSync(file, JSON.stringify(content))
  return file
}

interface Output {
  readonly child: ChildProcess
  readonly text: () => string
  /** Its code, once it and all that it started have let go of its output. */
  readonly exit: Promise<number | null>
}

/** `npm run serve`, as typed. */
function serve(args: readonly string[], state = 'state', cwd = ROOT): Output {
  const child = spawn('npm', ['--prefix', ROOT, 'run', 'serve', '--', ...args, '--state', join(folder, state)], {
    cwd,
    env: { ...process.env, SERVE_TEST_ORIGIN: `http://127.0.0.1:${origin.port}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const output = { child, text: () => text, exit: once(child, 'close').then(([code]) => code as number | null) }
  running.push(output)
  return output
}

async function urlOf({ child, text }: Output): Promise<string> {
  for (;;) {
    const url = /Umbral is at (\S+)/.exec(text())?.[1]
    if (url !== undefined) return url
    if (child.exitCode !== null) throw new Error(text())
    await Promise.race([once(child.stdout!, 'data'), once(child, 'close')])
  }
}

test('proxies to a real origin, logs one JSON line a request, and on SIGTERM finishes what is in flight', async () => {
  const { child, ...output } = serve(['--port', '0', '--routes', writeRoutes('routes.json', ROUTES)])
  const url = await urlOf({ child, ...output })
  const echoed = (await (await fetch(`${url}/users/7?a=1`, { method: 'POST', body: 'hello' })).json()) as object
  expect(echoed).toMatchObject({ method: 'POST', target: '/users/7?a=1', body: 'hello' })

  const slow = fetch(`${url}/delay/600`)
  await fetch(`${url}/status/404`)
  child.kill('SIGTERM')
  expect((await slow).status).toBe(200)
  await output.exit
  await expect(fetch(url)).rejects.toThrow()
  const lines = output
    .text()
    .split('\n')
    .filter((line) => line.startsWith('{'))
  expect(lines.map((line) => (JSON.parse(line) as { path: string }).path).toSorted()).toEqual([
    '/delay/600',
    '/status/404',
    '/users/7',
  ])
})

test('takes a relative path from the folder in which the command was typed', async () => {
  writeRoutes('typed.json', ROUTES)
  const served = serve(['--port', '0', '--routes', 'typed.json'], 'state', folder)
  expect((await fetch(`${await urlOf(served)}/users/7`)).status).toBe(200)
  const env = { ...process.env, SERVE_TEST_ORIGIN: `http://127.0.0.1:${origin.port}` }
  const validate = ['--prefix', ROOT, 'run', 'validate']
  const named = spawnSync('npm', [...validate, '--', 'typed.json'], { cwd: folder, env, encoding: 'utf8' })
  expect(named.stdout).toContain('typed.json: no mistakes')
  const byVariable = { ...env, UMBRAL_ROUTES: 'typed.json' }
  const unnamed = spawnSync('npm', validate, { cwd: folder, env: byVariable, encoding: 'utf8' })
  expect(unnamed.stdout).toContain('typed.json: no mistakes')
})

test('a broken routes file stops it with the JSON path and the nearest valid name', async () => {
  const broken = { ...ROUTES, routes: [{ id: 'a', match: { path: '/a' }, upstrem: 'origin' }] }
  const { text, exit } = serve(['--port', '0', '--routes', writeRoutes('broken.json', broken)])
  expect(await exit).not.toBe(0)
  expect(text()).toMatch(/routes\[0\].*upstrem.*did you mean "upstream"/s)
  expect(text()).not.toContain('Umbral is at')
  expect(text()).not.toMatch(/^\s+at /m)
})

test('variables of targets that are not set stop it, all at once; a secret that is not set is only said', async () => {
  const target = (name: string) => ({ url: { $env: name } })
  const unset = { ...ROUTES, upstreams: { origin: { targets: [target('SERVE_TEST_A'), target('SERVE_TEST_B')] } } }
  const refused = serve(['--port', '0', '--routes', writeRoutes('unset.json', unset)])
  expect(await refused.exit).toBe(1)
  expect(refused.text()).toContain('upstreams.origin.targets[0].url: the variable SERVE_TEST_A is not set')
  expect(refused.text()).toContain('upstreams.origin.targets[1].url: the variable SERVE_TEST_B is not set')

  const provider = { type: 'jwt', issuer: 'i', audience: 'a' }
  const shared = { ...provider, algorithms: ['HS256'], secret: { $secret: 'SERVE_TEST_SECRET' } }
  const published = { ...provider, issuer: 'j', algorithms: ['ES256'], jwksUri: 'https://id.test/jwks' }
  const route = (id: string, providers: string[]) => ({
    id,
    match: { path: `/${id}` },
    respond: {},
    policies: { auth: { providers } },
  })
  const routes = [route('a', ['shared']), route('b', ['shared']), route('c', ['published', 'shared'])]
  const secret = { version: 1, authProviders: { shared, published }, routes }
  const started = serve(['--port', '0', '--routes', writeRoutes('secret.json', secret)])
  const url = await urlOf(started)
  expect(started.text()).toContain('SERVE_TEST_SECRET is not set: routes a, b, c (to tokens of shared) answer 503\n')
  expect((await fetch(`${url}/a`)).status).toBe(503)
})

test('a taken port and a state folder in use are said in one sentence', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const routes = writeRoutes('routes.json', ROUTES)
  const blocked = serve(['--port', String(port), '--routes', routes], 'other')
  expect(await blocked.exit).not.toBe(0)
  expect(blocked.text()).toContain(
    `Port ${port} is taken; try another: npm run serve -- --routes ${routes} --state ${join(folder, 'other')} --port ${port + 1}\n`,
  )
  taken.close()

  await urlOf(serve(['--port', '0', '--routes', routes]))
  const second = serve(['--port', '0', '--routes', routes])
  expect(await second.exit).not.toBe(0)
  expect(second.text()).toMatch(/The state folder \S+ is in use by process \d+; name another with --state/)
})

test('of two that start at once on one state folder one runs, also after a starter was killed there', async () => {
  const stateDir = join(folder, 'contended')
  mkdirSync(stateDir)
  // Left behind by a process whose number another has now.
  writeFileSync(join(stateDir, 'starting.pid'), `${process.pid} 1`)
  const setup = { routes: ROUTES, env: { SERVE_TEST_ORIGIN: `http://127.0.0.1:${origin.port}` }, stateDir }
  const [one, other] = await Promise.allSettled([startGateway(setup), startGateway(setup)])
  for (const start of [one, other]) if (start.status === 'fulfilled') stops.push(start.value.kill)
  expect([one.status, other.status].toSorted()).toEqual(['fulfilled', 'rejected'])
  const why = [one, other].flatMap((start) => (start.status === 'rejected' ? String(start.reason) : []))
  expect(why).toEqual([expect.stringMatching(/is in use by process \d+;/)])
})

test('what Durable Objects hold survives kill -9', async () => {
  const setup = {
    routes: ROUTES,
    env: { SERVE_TEST_ORIGIN: `http://127.0.0.1:${origin.port}` },
    stateDir: join(folder, 'durable'),
  }
  const statuses = async (url: string) => [(await fetch(`${url}/thrice`)).status, (await fetch(`${url}/thrice`)).status]
  const first = await startGateway(setup)
  stops.push(first.kill)
  expect(await statuses(first.url)).toEqual([204, 204])
  await first.kill()
  const second = await startGateway(setup)
  stops.push(second.stop)
  expect(await statuses(second.url)).toEqual([204, 429])
})

test('secrets reach the gateway through its environment and stand in no argument', async () => {
  const gateway = await startGateway({ routes: ROUTES, env: { SERVE_TEST_ORIGIN: 'http://secret.invalid' } })
  stops.push(gateway.stop)
  expect(readFileSync(`/proc/${gateway.pid}/cmdline`, 'utf8')).not.toContain('secret.invalid')
  expect((await fetch(`${gateway.url}/a`)).status).toBe(502)
})

const CACHE_USER = `
const cacheOf = (name) => (name ? caches.open(name) : caches.default)
export default {
  async fetch(request) {
    const url = new URL(request.url)
    const cache = await cacheOf(url.searchParams.get('cache'))
    const key = 'http://cache.test' + url.pathname
    if (request.method === 'PUT') {
      const headers = { 'cache-control': request.headers.get('x-control') ?? 'max-age=60', 'x-word': 'kept' }
      await cache.put(key, new Response(request.body, { status: 203, headers }))
      return new Response('put')
    }
    if (request.method === 'DELETE') return new Response(String(await cache.delete(key)))
    return (await cache.match(key)) ?? new Response('miss', { status: 404 })
  },
}`

test('the Cache API keeps, finds, deletes, expires and is bounded', async () => {
  const routesText = join(folder, 'routes.txt')
  await buildRoutes(writeRoutes('routes.json', ROUTES), routesText, process.env)
  const worker = await buildWorker(routesText)
  const source = join(folder, 'cache-user.js')
  writeFileSync(source, CACHE_USER)
  const config = workerdConfig(singleFileSpec(worker, source), cacheSpec(worker))
  const started = {
    config,
    ip: '127.0.0.1',
    port: 0,
    stateDir: join(folder, 'cache'),
    env: {},
    stdout: 'pipe' as const,
  }
  const { url, stop } = await startWorkerd(started)
  stops.push(stop)
  const put = (path: string, body: BodyInit, control = 'max-age=60') =>
    fetch(url + path, { method: 'PUT', body, headers: { 'x-control': control } })
  const get = async (path: string) => {
    const found = await fetch(url + path)
    return [found.status, found.headers.get('x-word'), await found.text()]
  }
  const miss = [404, null, 'miss']

  expect(await get('/a?x=1')).toEqual(miss)
  await put('/a', 'späť\r\n\r\n\u0000end')
  expect(await get('/a')).toEqual([203, 'kept', 'späť\r\n\r\n\u0000end'])
  expect(await get('/a?cache=other')).toEqual(miss)
  await put('/a?cache=other', 'theirs')
  expect(await get('/a')).toEqual([203, 'kept', 'späť\r\n\r\n\u0000end'])
  expect(await get('/a?cache=other')).toEqual([203, 'kept', 'theirs'])
  const remove = async () => (await fetch(`${url}/a`, { method: 'DELETE' })).text()
  expect([await remove(), await remove()]).toEqual(['true', 'false'])
  expect(await get('/a')).toEqual(miss)
  expect(await get('/a?cache=other')).toEqual([203, 'kept', 'theirs'])

  await put('/brief', 'x', 'max-age=1')
  expect((await get('/brief'))[0]).toBe(203)
  await new Promise((passed) => setTimeout(passed, 1_050))
  expect(await get('/brief')).toEqual(miss)

  await put('/huge', new Uint8Array(9 * 1024 ** 2))
  expect((await get('/huge'))[0]).toBe(404)
  for (let i = 0; i < 10; i++) await put(`/big/${i}`, new Uint8Array(7 * 1024 ** 2))
  expect((await get('/big/0'))[0]).toBe(404)
  expect((await get('/big/9'))[0]).toBe(203)
})
