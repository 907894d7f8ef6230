import type { Exchange } from '../core/exchange.ts'
import type { Platform } from '../core/platform.ts'
import { importMaterial } from '../signatures/algorithm.ts'
import type { Message } from '../signatures/component.ts'
import { contentDigest } from '../signatures/content-digest.ts'
import { signMessage } from '../signatures/message.ts'
import type { SignConfig } from './config.ts'
import { clientFailure } from './outcome.ts'
import { bufferRequestBody, type UploadLimits } from './upload.ts'

/** Resolves with the header fields that sign the current request for a try to `base`, or with a refusal when it cannot be signed. */
export type Signer = (x: Exchange, base: string) => Promise<Readonly<Record<string, string>> | Response>

/**
 * Compiles an upstream's `sign` (RFC 9421). An origin that verifies the signature can refuse requests that bypass the gateway. Every
 * try has a nonce of its own. Without its secret the upstream's routes respond with 503; nothing is sent unsigned.
 */
export function compileSigner(
  config: SignConfig,
  limits: UploadLimits,
  platform: Pick<Platform, 'now' | 'secret'>,
): Signer {
  const { keyid, alg, components } = config
  const load = makeKeyLoader(config, platform)
  const covered = components.includes('content-digest') ? components : [...components, 'content-digest']
  return async (x, base) => {
    const key = await load()
    if (key === undefined) return clientFailure(x, 'not-configured')
    const refusal = await bufferRequestBody(x, limits, platform, config.maxBody)
    if (refusal) return refusal
    const { outgoing } = x
    const digest = await digestOf(outgoing)
    dropLookAlikes(outgoing.headers)
    const url = new URL(base + outgoing.path + outgoing.search)
    const created = Math.floor(platform.now() / 1000)
    const signature = await signMessage(messageOf(url, outgoing, digest), {
      keyid,
      alg,
      key,
      components: covered,
      created,
      expires: created + Math.ceil(config.maxAge / 1000),
      nonce: crypto.randomUUID(),
    })
    return digest === undefined ? signature : { ...signature, 'content-digest': digest }
  }
}

function makeKeyLoader(config: SignConfig, platform: Pick<Platform, 'secret'>): () => Promise<CryptoKey | undefined> {
  const text = platform.secret((config.secret ?? config.key)!)
  let key: CryptoKey | undefined
  return async () => {
    if (text === undefined) return undefined
    return (key ??= await importMaterial(config.alg, config.secret ? { secret: text } : { privateKey: text }))
  }
}

/** The digest of a buffered body; undefined for a body that streams, whose digest the gateway cannot vouch for. */
async function digestOf({ method, body }: Exchange['outgoing']): Promise<string | undefined> {
  const sent = body instanceof Uint8Array && method !== 'GET' && method !== 'HEAD'
  return sent ? contentDigest(body) : undefined
}

const SIGNED_FIELD = /^(?:signature|signature-input|content-digest)$/

/** Drops fields that a server which reads `_` as `-` would take for the gateway's own signature fields. */
function dropLookAlikes(headers: Record<string, string>): void {
  for (const name of Object.keys(headers)) {
    if (!SIGNED_FIELD.test(name) && SIGNED_FIELD.test(name.replaceAll(/[^a-z]/g, '-'))) delete headers[name]
  }
}

/** The message to sign: the request as the origin receives it, with the URL as `fetch` normalizes it. */
function messageOf(url: URL, { method, headers }: Exchange['outgoing'], digest: string | undefined): Message {
  const { href, origin, pathname } = url
  return {
    method,
    scheme: url.protocol === 'https:' ? 'https' : 'http',
    authority: url.host,
    path: pathname,
    search: href.slice(origin.length + pathname.length),
    field: (name) => (name === 'content-digest' ? digest : headers[name]),
  }
}
