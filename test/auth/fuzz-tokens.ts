import type { Platform } from '../../src/core/platform.ts'
import type { RouteParts } from '../../src/core/policy.ts'
import { auth } from '../../src/policies/auth.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { confused, HEADER, onCurve, onEdwards, PUBLISHED, raw, SECRET } from './forgery.ts'
import { provider } from './issuer.ts'
import { mutate, seeded } from './mutation.ts'

/**
 * `npm run fuzz:tokens [-- COUNT [SEED]]`: good tokens of four providers, changed at random, 1,000,000 of them unless told. Ends with 1 and the
 * token as soon as one is let in, or makes the gateway fetch something. The same seed makes the same changes; keys and times are new each time.
 */
const [count = '1000000', seed = String(Date.now())] = process.argv.slice(2)
const REPORT_EVERY = 100_000

let fetches = 0
const patient = { jwksCooldown: '1d', jwksMaxAge: '1d' }
const platform = {
  authProviders: {
    main: provider({ algorithms: ['RS256'], ...patient }),
    curve: provider({ issuer: 'curve', ...patient }),
    edwards: provider({ issuer: 'edwards', algorithms: ['EdDSA'], ...patient }),
    legacy: provider({ issuer: 'old', algorithms: ['HS256'], jwksUri: undefined, secret: { $secret: 'OLD' } }),
  },
  secret: () => SECRET,
  variable: () => undefined,
  now: Date.now,
  hasAdmin: false,
  oauthPaths: {},
  fetch: () => {
    fetches++
    return Promise.resolve(Response.json({ keys: PUBLISHED }))
  },
  // No object is asked: nothing here is revoked, and no API keys are taken.
} as Partial<Platform> as Platform
const policy = auth.config.parse({ providers: Object.keys(platform.authProviders) })
const handler = auth.compile(policy, platform, {} as RouteParts)(() => Promise.resolve(new Response()))

async function statusOf(token: string): Promise<number> {
  const request = new Request('https://gw.test/', { headers: { authorization: `Bearer ${token}` } })
  return (await handler(makeTestExchange(request))).status
}

const good = await Promise.all([raw(HEADER), onCurve(), onEdwards(), confused(SECRET, {}, 'old')])
for (const token of good) if ((await statusOf(token)) !== 200) throw new Error(`a good token is refused: ${token}`)
const expected = fetches
const random = seeded(Number(seed))
console.log(`${count} tokens, seed ${seed}`)
for (let nth = 1; nth <= Number(count); nth++) {
  const token = mutate(good, random)
  const status = token === undefined ? 401 : await statusOf(token)
  if (![400, 401].includes(status) || fetches !== expected) {
    console.error(`token ${nth}: ${status}, ${fetches - expected} fetches: ${token}`)
    process.exit(1)
  }
  if (nth % REPORT_EVERY === 0) console.log(`${nth}: none let in`)
}
