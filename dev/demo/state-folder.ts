import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'

const SECRETS = ['PARTNER_SECRET', 'UMBRAL_BOOTSTRAP_TOKEN'] as const

/** Where one run of the demo keeps its state, secrets and logs. */
export interface StateFolder {
  readonly path: string
  readonly envFile: string
  readonly gatewayLog: string
  /** What the demo keeps secret: the same again when the folder was kept. */
  readonly secrets: Readonly<Record<(typeof SECRETS)[number], string>>
  /** Writes the variables that the gateway sees, readable by nobody else. */
  readonly writeEnv: (variables: Readonly<Record<string, string>>) => void
  readonly remove: () => void
}

/** A new folder for this run alone, which `remove` takes away; or the `kept` one, which it leaves. */
export function openStateFolder(kept: string | undefined): StateFolder {
  if (kept !== undefined) mkdirSync(kept, { recursive: true, mode: 0o700 })
  const path = kept ?? mkdtempSync(join(tmpdir(), 'umbral-'))
  const envFile = join(path, 'demo.env')
  const before = existsSync(envFile) ? parseEnv(readFileSync(envFile, 'utf8')) : {}
  return {
    path,
    envFile,
    gatewayLog: join(path, 'gateway.log'),
    secrets: Object.fromEntries(
      SECRETS.map((name) => [name, before[name] ?? randomBytes(32).toString('base64url')]),
    ) as StateFolder['secrets'],
    writeEnv: (variables) => {
      const lines = Object.entries(variables).map(([name, value]) => `${name}=${quoted(value)}\n`)
      writeFileSync(envFile, lines.join(''), { mode: 0o600 })
      chmodSync(envFile, 0o600)
    },
    remove: () => {
      if (kept === undefined) rmSync(path, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}

/** As an env file holds a value to the letter: between quotes of a kind that is not in it. */
function quoted(value: string): string {
  const quote = ["'", '`', '"'].find((mark) => !value.includes(mark)) ?? "'"
  return `${quote}${value}${quote}`
}
