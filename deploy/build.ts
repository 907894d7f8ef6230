import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { unstable_readConfig } from 'wrangler'
import { compileFile } from './compile.ts'
import { CACHE, MANIFEST, type Manifest } from './worker.ts'

/**
 * Bundles the Worker for workerd into a folder: `node deploy/build.ts FOLDER`. It is a separate program, so that the process of the gateway does
 * not keep wrangler in memory.
 */
const ROOT = join(import.meta.dirname, '..')
const WRANGLER = join(ROOT, 'node_modules/.bin/wrangler')
const NO_PROMPTS = {
  CI: '1',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_SEND_ERROR_REPORTS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  WRANGLER_NO_SKILLS_UPDATE_PROMPTS: 'true',
  WRANGLER_LOG_PATH: join(ROOT, '.build/wrangler'),
}

const folder = process.argv[2]
if (folder === undefined) throw new Error('Usage: node deploy/build.ts FOLDER')

/** The parts of wrangler.toml that are read here; wrangler's own type of it is `any`. */
interface WranglerConfig {
  readonly name: string
  readonly keep_names: boolean
  readonly rules: unknown
  readonly migrations: unknown
  readonly compatibility_date: string
  readonly compatibility_flags: readonly string[]
  readonly durable_objects: { readonly bindings: readonly { readonly name: string; readonly class_name: string }[] }
}
const wrangler = unstable_readConfig({ config: join(ROOT, 'wrangler.toml') }, { hideWarnings: true }) as WranglerConfig

process.exitCode = bundle(folder)
if (process.exitCode === 0) {
  await compileFile(join(ROOT, 'deploy/cache-worker.ts'), join(folder, CACHE))
  fs.writeFileSync(join(folder, MANIFEST), JSON.stringify(manifest()))
}

/** Bundles with wrangler.toml without its `[build] command`, which would overwrite the routes file of others, such as `npm start`. */
function bundle(outdir: string): number {
  const { name, keep_names, rules, durable_objects, migrations, compatibility_date, compatibility_flags } = wrangler
  const main = join(ROOT, 'src/index.ts')
  const config = { name, main, keep_names, rules, durable_objects, migrations, compatibility_date, compatibility_flags }
  const file = join(ROOT, `.build/wrangler.${process.pid}.json`)
  fs.mkdirSync(join(ROOT, '.build'), { recursive: true })
  fs.writeFileSync(file, JSON.stringify(config))
  try {
    const args = ['deploy', '--config', file, '--dry-run', '--minify', '--metafile', '--outdir', outdir]
    const env = { ...process.env, ...NO_PROMPTS }
    const { status, stdout, stderr } = spawnSync(WRANGLER, args, { cwd: ROOT, env, encoding: 'utf8' })
    if (status !== 0) console.error(`${stdout}${stderr}`)
    return status ?? 1
  } finally {
    fs.rmSync(file)
  }
}

function manifest(): Manifest {
  const { compatibility_date, compatibility_flags, durable_objects } = wrangler
  return {
    compatibilityDate: compatibility_date,
    compatibilityFlags: compatibility_flags,
    durableObjects: durable_objects.bindings.map(({ name, class_name }) => ({ binding: name, className: class_name })),
  }
}
