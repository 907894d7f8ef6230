import { build } from 'esbuild'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startWorkerd } from '../../deploy/workerd.ts'

const SECRET = 'a secret that acme and the gateway share'
const ISOLATES = ['a', 'b', 'c', 'd']
const REPLAYS = 10_000

interface Signer {
  readonly signRequest: (request: Record<string, string>) => Record<string, string>
}

const folder = mkdtempSync(join(tmpdir(), 'umbral-isolates-'))
let workerd: Awaited<ReturnType<typeof startWorkerd>>

/** Each service is an isolate of its own; the objects are those of the first. The door hands requests out in turn. */
const config = () => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    ${ISOLATES.map(
      (name) => `(name = "${name}", worker = (
        modules = [(name = "worker.js", esModule = embed "${join(folder, 'worker.js')}")],
        compatibilityDate = "2026-08-04",
        ${name === 'a' ? 'durableObjectNamespaces = [(className = "NonceStore", uniqueKey = "n", enableSql = true)], durableObjectStorage = (localDisk = "state"),' : ''}
        bindings = [(name = "SECRET", text = "${SECRET}"),
          (name = "NONCES", durableObjectNamespace = (className = "NonceStore", serviceName = "a"))])),`,
    ).join('\n    ')}
    (name = "door", worker = (
      serviceWorkerScript = "let i = 0; addEventListener('fetch', (e) => e.respondWith([${ISOLATES.join()}][i++ % ${ISOLATES.length}].fetch(e.request)))",
      compatibilityDate = "2026-08-04",
      bindings = [${ISOLATES.map((name) => `(name = "${name}", service = "${name}")`).join(', ')}])),
    (name = "state", disk = (writable = true)),
  ],
  sockets = [(name = "http", http = (), service = "door")],
);
`

beforeAll(async () => {
  await build({
    entryPoints: { worker: join(import.meta.dirname, '../signatures/provider-worker.ts') },
    outdir: folder,
    bundle: true,
    format: 'esm',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
  })
  const stateDir = join(folder, 'state')
  workerd = await startWorkerd({ config: config(), ip: '127.0.0.1', port: 0, stateDir, env: {}, stdout: 'pipe' })
})

afterAll(async () => {
  await workerd?.kill()
  rmSync(folder, { recursive: true })
})

it('accepts a signed request once, in whatever isolate it arrives: of 10,000 replays none', async () => {
  const { signRequest } = (await import(join(import.meta.dirname, '../../docs/examples/sign-request.mjs'))) as Signer
  const url = `${workerd.url}/orders`
  const headers = signRequest({ keyid: 'acme', secret: SECRET, method: 'GET', url: url.replace('http:', 'https:') })
  const tally: Record<string, number> = {}
  let sent = 0
  const lane = async () => {
    while (sent++ <= REPLAYS) {
      const response = await fetch(url, { headers })
      const answer = `${response.headers.get('x-isolate')} ${await response.text()}`
      tally[answer] = (tally[answer] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: 16 }, lane))
  const verdicts = Object.groupBy(Object.keys(tally), (answer) => answer.split(' ')[1]!)
  const count = (answers: readonly string[] = []) => answers.reduce((sum, answer) => sum + tally[answer]!, 0)
  expect([count(verdicts['acme']), count(verdicts['signature-replayed'])]).toEqual([1, REPLAYS])
  expect(verdicts['signature-replayed']).toHaveLength(ISOLATES.length)
})
