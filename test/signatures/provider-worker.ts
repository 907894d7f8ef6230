import * as z from 'zod/mini'
import type { Authenticator } from '../../src/auth/authenticator.ts'
import { httpSignatureProvider } from '../../src/auth/config/http-signature.ts'
import { makeHttpSignatureAuthenticator } from '../../src/auth/http-signature.ts'
import type { Platform } from '../../src/core/platform.ts'
import { makeTestExchange } from '../support/exchange.ts'

export { NonceStore } from '../../src/signatures/nonce-store.ts'

let provider: Authenticator | undefined
let isolate = ''

function makeProvider({ NONCES, SECRET }: Cloudflare.Env & { readonly SECRET: string }): Authenticator {
  const keys = [{ keyid: 'acme', alg: 'hmac-sha256', secret: { $secret: 'SECRET' } }]
  const platform = { secret: () => SECRET, now: Date.now, nonceStores: NONCES }
  return makeHttpSignatureAuthenticator(
    'partners',
    z.parse(httpSignatureProvider, { type: 'httpSignature', keys }),
    platform as unknown as Platform,
  )
}

/** One isolate of a gateway that only judges signatures: answers with the caller's name, or with the code. */
export default {
  async fetch(request: Request, env: Cloudflare.Env & { readonly SECRET: string }): Promise<Response> {
    provider ??= makeProvider(env)
    const found = await provider.authenticate(makeTestExchange(request))
    const verdict = typeof found === 'object' ? found.identity.subject : found
    return new Response(verdict, { headers: { 'x-isolate': (isolate ||= crypto.randomUUID()) } })
  },
}
