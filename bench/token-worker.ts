import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { jwtProvider } from '../src/auth/config/jwt.ts'
import type { Exchange } from '../src/core/exchange.ts'
import type { Handler } from '../src/core/pipeline.ts'
import type { Platform } from '../src/core/platform.ts'
import type { RouteParts } from '../src/core/policy.ts'
import { auth } from '../src/policies/auth.ts'
import { makeTestExchange } from '../test/support/exchange.ts'

const ISSUER = 'https://id.bench.test/'
let exchanges: Exchange[] = []
let handler: Handler

/**
 * The policy `auth` alone, in loops. `/prepare?n=` compiles it anew, without cached tokens, and makes N new tokens; `/verify?n=` uses them in turn,
 * N times in all.
 */
export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url)
    const count = Number(searchParams.get('n'))
    await (pathname === '/prepare' ? prepare(count) : verify(count))
    return new Response('done')
  },
}

async function prepare(count: number): Promise<void> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const keys = [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }]
  const make = async (jti: string) => {
    const token = await new SignJWT({ jti, scope: 'orders:read orders:write', roles: ['support'] })
      .setProtectedHeader({ alg: 'ES256', kid: 'k', typ: 'at+jwt' })
      .setIssuer(ISSUER)
      .setAudience('api')
      .setSubject('ada')
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey)
    const headers = { authorization: `Bearer ${token}` }
    return makeTestExchange(new Request('https://gw.test/', { headers }), { waitUntil: () => {} })
  }
  handler = compile(() => Promise.resolve(Response.json({ keys })))
  // The first use fetches the keys.
  await use(await make('first'))
  exchanges = []
  for (let nth = 0; nth < count; nth++) exchanges.push(await make(`${nth}`))
}

function compile(fetch: Platform['fetch']): Handler {
  const main = jwtProvider.parse({
    type: 'jwt',
    issuer: ISSUER,
    audience: 'api',
    algorithms: ['ES256'],
    jwksUri: 'https://id.bench.test/jwks',
  })
  const parts: Partial<Platform> = {
    authProviders: { main },
    now: Date.now,
    fetch,
    hasAdmin: true,
    oauthPaths: {},
    identityStore: identity,
  }
  const policy = auth.config.parse({ providers: ['main'], scopes: ['orders:read'] })
  const response = Promise.resolve(new Response())
  return auth.compile(policy, { ...parts, variable: () => undefined } as Platform, {} as RouteParts)(() => response)
}

/** An identity store that returns one revocation at once. Each use of a token is compared with it. */
const feed = { entries: [{ target: { jti: 'x' }, at: 0, until: 1e15 }], cursor: 'a.1', more: false, reset: true }
const identity = { getByName: () => ({ execute: () => Promise.resolve(feed) }) } as unknown as Platform['identityStore']

async function verify(count: number): Promise<void> {
  for (let nth = 0; nth < count; nth++) await use(exchanges[nth % exchanges.length]!)
}

async function use(x: Exchange): Promise<void> {
  x.identity = undefined
  const { status } = await handler(x)
  if (status !== 200) throw new Error(`a valid token is refused: ${status}`)
}
