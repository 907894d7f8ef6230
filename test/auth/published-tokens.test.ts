import { base64url } from 'jose'
import { describe, expect, it } from 'vitest'
import { loadKeySet } from '../../src/auth/jwt/key-set.ts'
import type { VerificationKey } from '../../src/auth/jwt/key-source.ts'
import { compileVerification } from '../../src/auth/jwt/verify.ts'
import { ISSUER, provider } from './issuer.ts'
import { PUBLISHED_TOKENS } from './published-tokens.ts'

/** Before the examples that are JWTs expire. */
const THEN = 1_300_819_000_000

describe.each(PUBLISHED_TOKENS)('$source', ({ alg, key, token }) => {
  const [header, payload, signature] = token.split('.') as [string, string, string]
  const isJwt = payload.startsWith('ey')

  /** What the gateway makes of it once it has a key. Claims are judged after the signature, and only when it is good. */
  const judge = async (text: string) => {
    const { kid } = JSON.parse(new TextDecoder().decode(base64url.decode(header))) as { kid?: string }
    const config = provider({ algorithms: [alg], ...(isJwt && { issuer: 'joe' }) })
    return compileVerification(config)({ text, alg, kid, issuer: ISSUER }, await importKey(alg, key), THEN)
  }

  it('has a signature that is accepted', async () => {
    // No example says whom it is for, and some are no claims at all: that is what is wrong with them, and nothing before it.
    expect(await judge(token)).toBe(isJwt ? 'token-claims' : 'token-malformed')
  })

  it('has one that is refused when a bit of it, or of what it covers, is another', async () => {
    const bytes = base64url.decode(signature)
    bytes[bytes.length >> 1]! ^= 1
    expect(await judge(`${header}.${payload}.${base64url.encode(bytes)}`)).toBe('token-signature')
    const other = base64url.encode(base64url.decode(payload).map((byte, index) => (index === 0 ? byte ^ 1 : byte)))
    expect(await judge(`${header}.${other}.${signature}`)).toBe('token-signature')
  })
})

/** As the gateway does: from a published key set, or of a shared secret. */
async function importKey(alg: string, jwk: Readonly<Record<string, string>>): Promise<VerificationKey> {
  if (jwk.k !== undefined) {
    const hmac = { name: 'HMAC', hash: `SHA-${alg.slice(2)}` }
    const key = await crypto.subtle.importKey('raw', base64url.decode(jwk.k), hmac, false, ['verify'])
    return { alg, kid: undefined, key, material: '', retired: false }
  }
  const keys = await loadKeySet('https://id.test/jwks', [alg], [], () =>
    Promise.resolve(Response.json({ keys: [jwk] })),
  )
  expect(keys).toHaveLength(1)
  return (keys as VerificationKey[])[0]!
}
