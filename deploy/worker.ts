import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import type { WorkerModule, WorkerSpec } from './config.ts'

const ROOT = join(import.meta.dirname, '..')
const DIST = join(ROOT, 'dist')
const SOURCES = ['src/**/*.ts', 'deploy/{build,compile,cache-worker}.ts', 'package-lock.json', 'wrangler.toml']
const MODULE_KINDS: Readonly<Record<string, WorkerModule['kind']>> = { '.txt': 'text', '.wasm': 'wasm', '.bin': 'data' }
const OLD_AFTER_MS = 3_600_000

/** The files beside the bundle: the compiled cache Worker, and the settings of wrangler.toml for the gateway. */
export const CACHE = 'cache.js'
export const MANIFEST = 'worker.json'
/** The contents of the manifest. */
export type Manifest = Pick<WorkerSpec, 'compatibilityDate' | 'compatibilityFlags' | 'durableObjects'>

const run = promisify(execFile)

/** Checks the routes file `file` and writes its checked text to `out`, for the Worker. Rejects with the message of the check when the file is invalid. */
export async function buildRoutes(file: string, out: string, env: NodeJS.ProcessEnv): Promise<void> {
  // In a build the variable takes precedence over the argument.
  await runNode(['dev/build.ts', file, '--out', out], { ...env, UMBRAL_ROUTES: file })
}

/**
 * The folder of the bundled Worker; bundles it when it does not exist. Its name is a hash of its sources, so that a second start builds nothing and
 * two concurrent starts do not conflict. The bundle imports `routesText`, which each start replaces by its own.
 */
export async function buildWorker(routesText: string): Promise<string> {
  const folder = join(DIST, sourcesHash())
  if (fs.existsSync(folder)) return folder
  const imported = join(ROOT, '.build/routes.txt')
  fs.mkdirSync(join(ROOT, '.build'), { recursive: true })
  if (!fs.existsSync(imported)) fs.copyFileSync(routesText, imported)
  const unfinished = `${folder}.${process.pid}`
  try {
    await runNode(['deploy/build.ts', unfinished], process.env)
    if (!fs.existsSync(folder)) fs.renameSync(unfinished, folder)
  } finally {
    fs.rmSync(unfinished, { recursive: true, force: true })
  }
  removeOld(folder)
  return folder
}

/** The Worker in `folder`, reading its routes from `routesText`, with the environment variables `variables` as bindings. */
export function gatewaySpec(folder: string, routesText: string, variables: readonly string[]): WorkerSpec {
  const others = fs.readdirSync(folder).flatMap((name): WorkerModule[] => {
    const kind = MODULE_KINDS[extname(name)]
    return kind ? [{ name, kind, file: name.endsWith('-routes.txt') ? routesText : join(folder, name) }] : []
  })
  const main: WorkerModule = { name: 'index.js', kind: 'esModule', file: join(folder, 'index.js') }
  return { ...readManifest(folder), modules: [main, ...others], variables }
}

/** The store behind the Cache API that was built into `folder`. */
export function cacheSpec(folder: string): WorkerSpec {
  return singleFileSpec(folder, join(folder, CACHE))
}

/** A Worker of one JavaScript file, under the dates and flags of the gateway in `folder`. */
export function singleFileSpec(folder: string, file: string): WorkerSpec {
  const main: WorkerModule = { name: 'index.js', kind: 'esModule', file }
  return { ...readManifest(folder), durableObjects: [], modules: [main], variables: [] }
}

function readManifest(folder: string): Manifest {
  return JSON.parse(fs.readFileSync(join(folder, MANIFEST), 'utf8')) as Manifest
}

/** Runs one of this project's programs. Rejects with its stderr as the message. */
async function runNode(args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  try {
    await run(process.execPath, args, { cwd: ROOT, env })
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string }
    throw new Error(stderr?.trim() || message, { cause: error })
  }
}

function sourcesHash(): string {
  const hash = createHash('sha256')
  for (const file of SOURCES.flatMap((pattern) => fs.globSync(pattern, { cwd: ROOT })).toSorted()) {
    hash
      .update(`${file}\0`)
      .update(fs.readFileSync(join(ROOT, file)))
      .update('\0')
  }
  return hash.digest('hex').slice(0, 12)
}

function removeOld(current: string): void {
  for (const folder of fs.globSync('*/', { cwd: DIST }).map((name) => join(DIST, name))) {
    const age = Date.now() - (fs.statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Infinity)
    if (folder !== current && age > OLD_AFTER_MS) fs.rmSync(folder, { recursive: true, force: true })
  }
}
