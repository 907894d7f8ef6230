import { createServer } from 'node:http'
import { listen } from './listen.ts'

/** Secrets that can be told apart from everything else, and what was seen of them. */
export interface Canary {
  /** A secret of its own: at least 32 characters, letters, digits and underscores only. */
  readonly mark: (name: string) => string
  /** Watches for a secret that somebody else made. */
  readonly watch: (name: string, secret: string) => void
  /** The names of the secrets that stand in `text`: as they are, in Base64 of any kind, in hex, or with each character escaped. */
  readonly foundIn: (text: string) => string[]
}

export function makeCanary(): Canary {
  const secrets = new Map<string, readonly string[]>()
  const watch = (name: string, secret: string) => void secrets.set(name, spellingsOf(secret))
  return {
    watch,
    mark(name) {
      const secret = `canary_${name}_${crypto.randomUUID()}`.replaceAll('-', '_')
      watch(name, secret)
      return secret
    },
    foundIn(text) {
      const lower = text.toLowerCase()
      return [...secrets].filter(([, spellings]) => spellings.some((one) => lower.includes(one))).map(([name]) => name)
    },
  }
}

/** In lower case, as header names and hosts would spell them; of Base64 what does not depend on the bytes around it. */
function spellingsOf(secret: string): string[] {
  const bytes = Buffer.from(secret)
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64url')
      .slice(4, -4),
  )
  const escaped = bytes.toString('hex').replace(/../g, '%$&')
  return [secret, bytes.toString('hex'), escaped, ...base64].map((spelling) => spelling.toLowerCase())
}

/** Takes whatever is posted to it, for a collector that need not understand; `bodies()` is all of it. */
export async function startSink(): Promise<{
  url: string
  port: number
  bodies: () => string
  stop: () => Promise<void>
}> {
  let bodies = ''
  const server = createServer((request, response) => {
    request.setEncoding('utf8').on('data', (chunk: string) => (bodies += chunk))
    request.on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'))
  })
  const { url, port, stop } = await listen(server)
  return { url, port, bodies: () => bodies, stop }
}
