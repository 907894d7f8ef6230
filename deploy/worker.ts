import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { extname, join } from 'node:path'
import type { WorkerModule, WorkerSpec } from './config.ts'

const ROOT = join(import.meta.dirname, '..')
const DIST = join(ROOT, 'dist')
const SOURCES = ['src/**/*.ts', 'deploy/worker.ts', 'deploy/cache-worker.ts', 'package-lock.json', 'wrangler.toml']
const CACHE = 'cache.js'
const MODULE_KINDS: Readonly<Record<string, WorkerModule['kind']>> = { '.txt': 'text', '.wasm': 'wasm', '.bin': 'data' }
const OLD_AFTER_MS = 3_600_000
const NO_QUESTIONS = {
  CI: '1',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_SEND_ERROR_REPORTS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  WRANGLER_NO_SKILLS_UPDATE_PROMPTS: 'true',
  WRANGLER_LOG_PATH: join(ROOT, '.build/wrangler'),
}

/** Checks the routes file `file` and writes what the Worker reads of it to `out`. Throws with the checker's own words on a mistake. */
export function buildRoutes(file: string, out: string, env: NodeJS.ProcessEnv = process.env): void {
  const checked = spawnSync(process.execPath, [join(ROOT, 'dev/build.ts'), file, '--out', out], {
    cwd: ROOT,
    encoding: 'utf8',
    // The variable would win over the argument.
    env: { ...env, UMBRAL_ROUTES: file },
  })
  if (checked.status !== 0) throw new Error(checked.stderr.trim() || `${file} could not be checked`)
}

/**
 * The folder of the bundled Worker, named by a hash of what it is made from, so that a second start builds nothing and two at once do not
 * disturb each other. `routesText` only gives the bundle something to import; each start puts its own in that place.
 */
export async function buildWorker(routesText: string): Promise<string> {
  const folder = join(DIST, sourcesHash())
  if (fs.existsSync(folder)) return folder
  fs.mkdirSync(join(ROOT, '.build'), { recursive: true })
  const placeholder = join(ROOT, '.build/routes.txt')
  if (!fs.existsSync(placeholder)) fs.copyFileSync(routesText, placeholder, fs.constants.COPYFILE_EXCL)
  const unfinished = `${folder}.${process.pid}`
  const config = await wranglerConfig()
  const configFile = join(ROOT, `.build/wrangler.${process.pid}.json`)
  fs.writeFileSync(configFile, JSON.stringify(config))
  try {
    bundle(configFile, unfinished)
    fs.writeFileSync(join(unfinished, 'worker.json'), JSON.stringify(config))
    await compileFile(join(ROOT, 'deploy/cache-worker.ts'), join(unfinished, CACHE))
    if (!fs.existsSync(folder)) fs.renameSync(unfinished, folder)
  } finally {
    fs.rmSync(configFile, { force: true })
    fs.rmSync(unfinished, { recursive: true, force: true })
  }
  removeOld(folder)
  return folder
}

/** Compiles one TypeScript file that imports nothing. */
export async function compileFile(source: string, out: string): Promise<void> {
  const { transform } = await import('esbuild')
  fs.writeFileSync(out, (await transform(fs.readFileSync(source, 'utf8'), { loader: 'ts', format: 'esm' })).code)
}

/** The Worker in `folder`, reading its routes from `routesText`, with the environment variables `variables` as bindings. */
export function gatewaySpec(folder: string, routesText: string, variables: readonly string[]): WorkerSpec {
  const others = fs.readdirSync(folder).flatMap((name): WorkerModule[] => {
    const kind = MODULE_KINDS[extname(name)]
    return kind ? [{ name, kind, file: name.endsWith('-routes.txt') ? routesText : join(folder, name) }] : []
  })
  return {
    ...plainSpec(folder, join(folder, 'index.js'), others),
    durableObjects: readBuilt(folder).durable_objects.bindings.map((b) => ({ binding: b.name, className: b.class_name })),
    variables,
  }
}

/** The store behind the Cache API that was built into `folder`. */
export function cacheSpec(folder: string): WorkerSpec {
  return plainSpec(folder, join(folder, CACHE))
}

/** Any Worker with the entry `file`, under the dates and flags of the gateway in `folder`. */
export function plainSpec(folder: string, file: string, others: readonly WorkerModule[] = []): WorkerSpec {
  const { compatibility_date, compatibility_flags } = readBuilt(folder)
  return {
    modules: [{ name: 'index.js', kind: 'esModule', file }, ...others],
    compatibilityDate: compatibility_date,
    compatibilityFlags: compatibility_flags,
    durableObjects: [],
    variables: [],
  }
}

function readBuilt(folder: string): WranglerConfig {
  return JSON.parse(fs.readFileSync(join(folder, 'worker.json'), 'utf8')) as WranglerConfig
}

interface WranglerConfig {
  readonly compatibility_date: string
  readonly compatibility_flags: readonly string[]
  readonly durable_objects: { readonly bindings: readonly { readonly name: string; readonly class_name: string }[] }
}

/** wrangler.toml without its `[build] command`, which would write the routes file of another start's tests or demo over. */
async function wranglerConfig(): Promise<WranglerConfig> {
  const { unstable_readConfig } = await import('wrangler')
  const read = unstable_readConfig({ config: join(ROOT, 'wrangler.toml') }, { hideWarnings: true })
  const { name, rules, durable_objects, migrations, compatibility_date, compatibility_flags } = read
  if (compatibility_date === undefined) throw new Error('wrangler.toml names no compatibility_date')
  const main = join(ROOT, 'src/index.ts')
  const bindings = durable_objects.bindings.map((binding) => ({ name: binding.name, class_name: binding.class_name }))
  return { name, main, rules, migrations, compatibility_date, compatibility_flags, durable_objects: { bindings } } as WranglerConfig
}

function bundle(configFile: string, outdir: string): void {
  const args = ['deploy', '--config', configFile, '--dry-run', '--minify', '--metafile', '--outdir', outdir]
  const built = spawnSync(join(ROOT, 'node_modules/.bin/wrangler'), args, {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, ...NO_QUESTIONS },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (built.status !== 0) throw new Error(`The Worker does not build.\n${built.stdout}${built.stderr}`)
}

function sourcesHash(): string {
  const hash = createHash('sha256')
  for (const file of SOURCES.flatMap((pattern) => fs.globSync(pattern, { cwd: ROOT })).sort()) {
    hash.update(`${file}\0`).update(fs.readFileSync(join(ROOT, file))).update('\0')
  }
  return hash.digest('hex').slice(0, 12)
}

function removeOld(current: string): void {
  for (const folder of fs.globSync('*/', { cwd: DIST }).map((name) => join(DIST, name))) {
    const age = Date.now() - (fs.statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Infinity)
    if (folder !== current && age > OLD_AFTER_MS) fs.rmSync(folder, { recursive: true, force: true })
  }
}
