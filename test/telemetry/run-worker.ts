import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { build } from 'esbuild'

export interface RunningWorker {
  readonly url: string
  /** All that it wrote to stdout and stderr so far. */
  readonly output: () => string
  /** Resident memory in bytes. */
  readonly rss: () => Promise<number>
  /** CPU time used so far, in milliseconds. */
  readonly cpu: () => Promise<number>
  readonly stop: () => Promise<void>
}

const WORKERD = join(import.meta.dirname, '../../node_modules/.bin/workerd')

/** Bundles the worker beside this file and runs it under a plain `workerd serve` on a free loopback port. */
export async function runWorker(
  variables: Readonly<Record<string, string>>,
  v8Flags: readonly string[] = [],
): Promise<RunningWorker> {
  const folder = await mkdtemp(join(tmpdir(), 'umbral-telemetry-'))
  await build({
    entryPoints: [join(import.meta.dirname, 'worker.ts')],
    outfile: join(folder, 'worker.js'),
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
  })
  await writeFile(join(folder, 'config.capnp'), config(variables, v8Flags))
  const child = spawn(WORKERD, ['serve', 'config.capnp', '--control-fd=3'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const exited = new Promise<void>((done) => child.once('exit', () => done()))
  const port = await listeningPort(child.stdio[3] as Readable, exited, () => output)
  const ofProcess = (file: string) => readFile(`/proc/${child.pid}/${file}`, 'utf8')
  return {
    url: `http://127.0.0.1:${port}`,
    output: () => output,
    rss: async () => 1024 * Number(/VmRSS:\s+(\d+)/.exec(await ofProcess('status'))?.[1]),
    cpu: async () => {
      const fields = (await ofProcess('stat')).split(') ')[1]!.split(' ')
      return 10 * (Number(fields[11]) + Number(fields[12]))
    },
    stop: async () => {
      child.kill('SIGKILL')
      await exited
      await rm(folder, { recursive: true })
    },
  }
}

async function listeningPort(control: Readable, exited: Promise<void>, output: () => string): Promise<number> {
  const told = new Promise<number>((found) => {
    createInterface(control).on('line', (line) => {
      const { event, port } = JSON.parse(line) as { event: string; port?: number }
      if (event === 'listen' && port !== undefined) found(port)
    })
  })
  const failed = exited.then(() => {
    throw new Error(`workerd ended: ${output()}`)
  })
  return Promise.race([told, failed])
}

function config(variables: Readonly<Record<string, string>>, v8Flags: readonly string[]): string {
  const bindings = Object.entries(variables).map(([name, text]) => `(name = "${name}", text = ${JSON.stringify(text)})`)
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  v8Flags = ${JSON.stringify(v8Flags)},
  services = [
    (name = "main", worker = (
      modules = [(name = "worker.js", esModule = embed "worker.js")],
      compatibilityDate = "2026-08-04",
      bindings = [${bindings.join(', ')}],
      globalOutbound = "network",
    )),
    (name = "network", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`
}
