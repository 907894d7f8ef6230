import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { freePorts } from '../../dev/demo/ports.ts'
import { lockDemo } from '../support/demo-lock.ts'
import { startEchoOrigin } from '../support/echo-origin.ts'
import { checkRawPaths } from '../support/raw-paths.ts'

afterAll(await lockDemo())

// `workerd serve` shows raw targets to the Worker and wrangler dev normalised ones: what reaches an origin must be canonical under both.
it('forwards exactly what it matched under wrangler dev too', async () => {
  const origin = await startEchoOrigin()
  const folder = mkdtempSync(join(tmpdir(), 'umbral-dev-paths-'))
  const routes = join(folder, 'routes.json')
  const upstreams = { origin: { targets: [{ url: origin.url }] } }
  const all = [
    { id: 'all', match: { path: '/*' }, upstream: 'origin' },
    { id: 'health', match: { path: '/health' }, builtin: 'health' },
  ]
  writeFileSync(routes, JSON.stringify({ version: 1, upstreams, routes: all }))
  const [port] = (await freePorts(1)) as [number]
  const env = { ...process.env, UMBRAL_ROUTES: routes }
  const demo = spawn('node', ['dev/start.ts', '--port', String(port)], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(demo, 'exit')
  try {
    demo.stdout.setEncoding('utf8')
    let printed = ''
    for await (const text of demo.stdout) if ((printed += text as string).includes('gateway.log')) break
    expect(demo.exitCode).toBeNull()
    // The tour is of other routes.
    expect(printed).not.toContain('curl')
    await checkRawPaths(port, origin, 100)
  } finally {
    demo.kill('SIGTERM')
    await ended
    await origin.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})
