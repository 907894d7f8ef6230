import { build } from 'esbuild'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { workerdConfig, type WorkerSpec } from '../../deploy/config.ts'
import { startWorkerd } from '../../deploy/workerd.ts'

export interface WorkerOptions {
  /** Bindings of text. */
  readonly variables?: Readonly<Record<string, string>>
  /** Classes that the file exports. */
  readonly durableObjects?: WorkerSpec['durableObjects']
  /** Added to those that the gateway runs with. */
  readonly v8Flags?: readonly string[]
}

export interface RunningWorker {
  readonly url: string
  readonly port: number
  /** The process id of workerd itself. */
  readonly pid: number
  /** All that it wrote to stdout and stderr since it listens. */
  readonly output: () => string
  /** Kills it as a crash would and starts it again on the same disk, on another port. */
  readonly crash: () => Promise<RunningWorker>
  readonly stop: () => Promise<void>
}

/** Bundles the Worker in `file` and runs it alone under `workerd serve`, configured as the gateway is, on a free loopback port. */
export async function runWorker(file: string, options: WorkerOptions = {}): Promise<RunningWorker> {
  const folder = mkdtempSync(join(tmpdir(), 'umbral-worker-'))
  await build({
    entryPoints: { worker: file, cache: join(import.meta.dirname, '../../deploy/cache-worker.ts') },
    outdir: folder,
    bundle: true,
    format: 'esm',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
  })
  return start(folder, options)
}

async function start(folder: string, options: WorkerOptions): Promise<RunningWorker> {
  const config = configText(folder, options)
  const stateDir = join(folder, 'state')
  const env = { ...options.variables }
  const workerd = await startWorkerd({ config, ip: '127.0.0.1', port: 0, stateDir, env, stdout: 'pipe' })
  let output = ''
  for (const stream of [workerd.stdout!, workerd.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk))
  return {
    url: workerd.url,
    port: workerd.port,
    pid: workerd.pid,
    output: () => output,
    crash: async () => {
      await workerd.kill()
      return start(folder, options)
    },
    stop: async () => {
      // One that waits for a hanging origin would take its time over SIGTERM.
      await workerd.kill()
      rmSync(folder, { recursive: true })
    },
  }
}

function configText(folder: string, { variables = {}, durableObjects = [], v8Flags = [] }: WorkerOptions): string {
  const cache = spec(join(folder, 'cache.js'))
  const worker = { ...spec(join(folder, 'worker.js')), durableObjects, variables: Object.keys(variables) }
  const [before, after] = workerdConfig(worker, cache).split('v8Flags = [')
  if (after === undefined) throw new Error('deploy/config.ts writes no v8Flags any more')
  return `${before}v8Flags = [${v8Flags.map((flag) => `${JSON.stringify(flag)}, `).join('')}${after}`
}

const spec = (file: string): WorkerSpec => ({
  modules: [{ name: 'index.js', kind: 'esModule', file }],
  compatibilityDate: '2026-08-04',
  compatibilityFlags: ['enable_request_signal'],
  durableObjects: [],
  variables: [],
})
