import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'

const SECRETS = ['PARTNER_SECRET', 'UMBRAL_BOOTSTRAP_TOKEN'] as const

/** The folder of one run of the demo, with its state, secrets and logs. */
export interface StateFolder {
  readonly path: string
  readonly envFile: string
  readonly gatewayLog: string
  /** The generated secrets; those of the earlier run when the folder was kept. */
  readonly secrets: Readonly<Record<(typeof SECRETS)[number], string>>
  /** Writes the variables of the gateway to a file that only this user can read. */
  readonly writeEnv: (variables: Readonly<Record<string, string>>) => void
  readonly remove: () => void
}

/** Opens the folder `kept`, which `remove` does not delete; without it, makes a temporary folder, which `remove` deletes. */
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

/** A value in the notation of an env file: between quotes that do not occur in it. */
function quoted(value: string): string {
  const quote = ["'", '`', '"'].find((mark) => !value.includes(mark)) ?? "'"
  return `${quote}${value}${quote}`
}
