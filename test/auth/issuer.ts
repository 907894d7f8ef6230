import { exportJWK, generateKeyPair, SignJWT, type JWK } from 'jose'
import { jwtProvider, type JwtProviderConfig } from '../../src/auth/config/jwt.ts'

export const ISSUER = 'https://id.test/'
export const JWKS_URL = 'https://id.test/jwks.json'

/** A provider as routes.json would give it, with fields replaced; `undefined` takes one away. */
export function provider(fields: Record<string, unknown> = {}): JwtProviderConfig {
  const base = { type: 'jwt', issuer: ISSUER, audience: 'api', algorithms: ['ES256'], jwksUri: JWKS_URL }
  const given = Object.entries({ ...base, ...fields }).filter(([, value]) => value !== undefined)
  return jwtProvider.parse(Object.fromEntries(given))
}

export interface TestKey {
  readonly privateKey: CryptoKey
  readonly jwk: JWK
  readonly alg: string
}

export async function makeKey(kid: string, alg = 'ES256'): Promise<TestKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }, alg }
}

/** A good token of `key` at the real time, with claims and header members replaced; `undefined` takes one away. */
export function sign(
  key: Pick<TestKey, 'privateKey' | 'alg'> & { jwk?: JWK },
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ iss: ISSUER, aud: 'api', sub: 'ada', iat: now, exp: now + 600, ...claims })
    .setProtectedHeader({ alg: key.alg, kid: key.jwk?.kid, typ: 'JWT', ...header } as { alg: string })
    .sign(key.privateKey)
}

/** An issuer's endpoint: what it answers can be changed while it runs, and every call is counted. */
export function makeIssuer(...keys: TestKey[]) {
  const issuer = {
    calls: [] as string[],
    keys: keys.map(({ jwk }) => jwk) as unknown[],
    answer: (): Response | Promise<Response> => Response.json({ keys: issuer.keys }),
    fetch: async (url: string, init?: RequestInit): Promise<Response> => {
      issuer.calls.push(url)
      // As a real origin would, it takes a turn of the event loop, and notices when the caller gives up.
      await scheduler.wait(1)
      init?.signal?.throwIfAborted()
      return issuer.answer()
    },
  }
  return issuer
}
