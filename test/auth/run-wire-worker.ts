import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { build } from 'esbuild'

export interface WireWorker {
  readonly port: number
  readonly pid: number
  readonly stop: () => Promise<void>
}

/** Runs `wire-worker.ts` under a plain `workerd serve` on a free loopback port. */
export async function runWireWorker(issuerUrl: string): Promise<WireWorker> {
  const folder = await mkdtemp(join(tmpdir(), 'umbral-auth-'))
  await build({
    entryPoints: [join(import.meta.dirname, 'wire-worker.ts')],
    outfile: join(folder, 'worker.js'),
    bundle: true,
    format: 'esm',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
  })
  await writeFile(join(folder, 'config.capnp'), config(issuerUrl))
  const child = spawn('workerd', ['serve', 'config.capnp', '--control-fd=3'], {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  })
  const exited = once(child, 'exit')
  const [line] = (await once(createInterface(child.stdio[3] as Readable), 'line')) as [string]
  return {
    port: (JSON.parse(line) as { port: number }).port,
    pid: child.pid!,
    stop: async () => {
      child.kill('SIGKILL')
      await exited
      await rm(folder, { recursive: true })
    },
  }
}

const config = (issuerUrl: string) => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker.js", esModule = embed "worker.js")],
      compatibilityDate = "2026-08-04",
      compatibilityFlags = ["enable_request_signal"],
      bindings = [(name = "ISSUER_URL", text = "${issuerUrl}")],
      globalOutbound = "network",
    )),
    (name = "network", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`
