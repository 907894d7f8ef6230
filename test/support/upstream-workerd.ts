import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { build } from 'esbuild'

const WORKERD = join(import.meta.dirname, '../../node_modules/.bin/workerd')

export interface RunningWorker {
  readonly url: string
  readonly port: number
  readonly state: () => Promise<{ inFlight: number; condition: string; store: string; fetch: number; object: number }>
  /** The most memory that the process has had resident, in MB. */
  readonly peakMegabytes: () => number
  /** Kills the process as a crash would and starts it again on the same disk. */
  readonly crash: () => Promise<RunningWorker>
  readonly stop: () => Promise<void>
}

/** Bundles the upstream stages and runs them under `workerd serve`, with `upstream` as it would stand in routes.json. */
export async function serveUpstream(upstream: object): Promise<RunningWorker> {
  const folder = await mkdtemp(join(tmpdir(), 'upstream-'))
  await build({
    entryPoints: [join(import.meta.dirname, 'upstream-worker.ts')],
    outfile: join(folder, 'worker.js'),
    bundle: true,
    format: 'esm',
    external: ['cloudflare:*'],
  })
  await mkdir(join(folder, 'disk'))
  await writeFile(join(folder, 'config.capnp'), capnp(JSON.stringify(upstream)))
  return start(folder)
}

async function start(folder: string): Promise<RunningWorker> {
  const child = spawn(WORKERD, ['serve', 'config.capnp', '--control-fd=3'], {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  })
  const lines = createInterface(child.stdio[3] as Readable)
  const port = await new Promise<number>((resolve, reject) => {
    lines.on('line', (line) => {
      const message = JSON.parse(line) as { event: string; port: number }
      if (message.event === 'listen') resolve(message.port)
    })
    child.once('exit', () => reject(new Error('workerd did not start')))
  })
  const url = `http://127.0.0.1:${port}`
  const kill = async () => {
    // workerd that still waits for a hanging origin would not end on SIGTERM.
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return {
    url,
    port,
    state: async () => (await (await fetch(`${url}/-/state`)).json()) as Awaited<ReturnType<RunningWorker['state']>>,
    peakMegabytes: () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]) / 1024,
    crash: async () => {
      await kill()
      return start(folder)
    },
    stop: async () => {
      await kill()
      await rm(folder, { recursive: true })
    },
  }
}

const capnp = (upstream: string) => `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker.js", esModule = embed "worker.js")],
      compatibilityDate = "2026-08-04",
      compatibilityFlags = ["enable_request_signal"],
      bindings = [
        (name = "UPSTREAM", text = ${JSON.stringify(upstream)}),
        (name = "BREAKERS", durableObjectNamespace = "CircuitBreaker"),
      ],
      durableObjectNamespaces = [(className = "CircuitBreaker", uniqueKey = "breakers", enableSql = true)],
      durableObjectStorage = (localDisk = "disk"),
    )),
    (name = "internet", network = (allow = ["public", "private"])),
    (name = "disk", disk = (path = "disk", writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`
