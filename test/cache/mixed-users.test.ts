import { SignJWT } from 'jose'
import { expect, it } from 'vitest'
import { makeCachedGateway, type OriginRequest } from '../support/cached.ts'

/** `VITE_MIXED_REQUESTS=100000` for the long run. */
const REQUESTS = Number((import.meta.env.VITE_MIXED_REQUESTS as string | undefined) ?? 10_000)
const AT_ONCE = 24

const SECRETS = { A_SECRET: 'a'.repeat(32), B_SECRET: 'b'.repeat(32) }
const provider = (issuer: string, $secret: string) => ({
  type: 'jwt',
  issuer,
  audience: 'api',
  algorithms: ['HS256'],
  secret: { $secret },
})
const authProviders = { a: provider('https://a.test/', 'A_SECRET'), b: provider('https://b.test/', 'B_SECRET') }

interface User {
  readonly token: string
  readonly issuer: string
  readonly subject: string
  readonly tenant: string
  readonly scope: string
  readonly role: string
}

async function makeUser(i: number): Promise<User> {
  const [issuer, secret] = i % 2 === 0 ? ['https://a.test/', SECRETS.A_SECRET] : ['https://b.test/', SECRETS.B_SECRET]
  // Few names, so that the same ones stand at both issuers, in several tenants, and with other rights.
  const user = {
    issuer,
    subject: `u${Math.floor(i / 2) % 12}`,
    tenant: `t${Math.floor(i / 24) % 3}`,
    scope: ['read', 'read write'][Math.floor(i / 72) % 2]!,
    role: ['guest', 'owner'][Math.floor(i / 5) % 2]!,
  }
  const token = await new SignJWT({ tenant: user.tenant, scope: user.scope, roles: [user.role] })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer(issuer)
    .setAudience('api')
    .setSubject(user.subject)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(secret))
  return { ...user, token }
}

/** Whose answer it is, by what the gateway tells the origin of the caller, and nothing else. */
function ownerOf({ headers, url }: OriginRequest, tenants: ReadonlyMap<string, User>): string {
  const user = tenants.get(headers.get('authorization') ?? '')!
  expect(headers.get('x-auth-subject')).toBe(user.subject)
  return `${url.pathname} of ${JSON.stringify(nameOf(user, url.pathname))}`
}

const nameOf = ({ issuer, subject, tenant, scope, role }: User, path: string): string[] => {
  if (path.startsWith('/public')) return ['everybody']
  return path.startsWith('/tenant') ? [issuer, tenant, scope, role] : [issuer, subject]
}

it.each(['sub', 'tenant', 'none'])(
  'shares nothing wrongly between mixed users: identity %s',
  { timeout: 300_000 },
  async (identity) => {
    const users = await Promise.all(Array.from({ length: 144 }, (_, i) => makeUser(i)))
    const byToken = new Map(users.map((user) => [`Bearer ${user.token}`, user]))
    const { ask, asked, settled } = makeCachedGateway(
      { ttl: '1h', key: { identity } },
      (request) => {
        const text = ownerOf(request, byToken)
        const { pathname } = request.url
        // With `none` the origin decides: what it calls public, or nothing, of which the ttl must not make something.
        const open = pathname.startsWith('/public') ? { 'cache-control': 'public, max-age=3600' } : {}
        return new Response(text, { headers: open as Record<string, string> })
      },
      {
        authProviders,
        policies: { auth: { providers: ['a', 'b'] } },
        platform: { secret: ({ $secret }) => SECRETS[$secret as keyof typeof SECRETS] },
      },
    )
    const kinds = { sub: ['me', 'public'], tenant: ['tenant', 'public'], none: ['me', 'tenant', 'public'] }[identity]!
    let wrong = 0
    const one = async (i: number) => {
      const user = users[Math.floor(Math.random() * users.length)]!
      const path = `/${kinds[i % kinds.length]}/${Math.floor(Math.random() * 5)}`
      const { text, response } = await ask(path, { headers: { authorization: `Bearer ${user.token}` } })
      if (response.status !== 200 || text !== `${path} of ${JSON.stringify(nameOf(user, path))}`) wrong++
    }
    const total = Math.floor(REQUESTS / 3)
    for (let i = 0; i < total; i += AT_ONCE) {
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, total - i) }, (_, j) => one(i + j)))
      await settled()
    }
    expect(wrong).toBe(0)
    // Something was shared, or the test shows nothing.
    expect(asked.length).toBeLessThan(total * (identity === 'none' ? 0.75 : 0.9))
  },
)

it('gives a token that may do less nothing of what the same caller got with one that may do more', async () => {
  const [weak, strong] = await Promise.all([makeUser(0), makeUser(72)])
  const { get } = makeCachedGateway(
    { ttl: '1h', key: { identity: 'sub' } },
    ({ headers }) => new Response(headers.get('x-auth-scopes')),
    {
      authProviders,
      policies: { auth: { providers: ['a', 'b'] } },
      platform: { secret: ({ $secret }) => SECRETS[$secret as keyof typeof SECRETS] },
    },
  )
  expect(weak.subject).toBe(strong.subject)
  const as = async ({ token }: User) => (await get('/me', { headers: { authorization: `Bearer ${token}` } })).text
  expect([await as(strong), await as(weak)]).toEqual(['read write', 'read'])
})

it('keeps nothing of callers who lack the tenant claim', async () => {
  const user = await makeUser(0)
  const { get, asked } = makeCachedGateway(
    { ttl: '1h', key: { identity: 'tenant', tenantClaim: 'org' } },
    () => new Response('x'),
    {
      authProviders,
      policies: { auth: { providers: ['a'] } },
      platform: { secret: ({ $secret }) => SECRETS[$secret as keyof typeof SECRETS] },
    },
  )
  const headers = { authorization: `Bearer ${user.token}` }
  expect((await get('/a', { headers })).status).toBe('fwd=bypass; fwd-status=200')
  await get('/a', { headers })
  expect(asked).toHaveLength(2)
})
