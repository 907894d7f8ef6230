import type * as z from 'zod/mini'
import type { Exchange, Identity } from '../../src/core/exchange.ts'
import { compose, type Handler } from '../../src/core/pipeline.ts'
import type { Platform } from '../../src/core/platform.ts'
import { applyHeaderEdits } from '../../src/ingress/finish.ts'
import { limitStores } from '../../src/limits/store/stores.ts'
import { rateLimit, rateLimitBeforeAuth } from '../../src/policies/rate-limit.ts'
import { makeTestExchange } from './exchange.ts'
import { makeTestFacts, makeTestPlatform } from './platform.ts'

/** A limiter as it is written in routes.json. */
export type RawLimiter = z.input<typeof rateLimit.config>[number]

/** A platform whose stores get time to answer on a busy machine. */
export function makePatientPlatform(parts: Partial<Platform> = {}, timeoutMs = 5_000): Platform {
  const platform = makeTestPlatform(parts)
  limitStores(platform, timeoutMs)
  return platform
}

/** What a client gets from a route with these limiters, as it leaves the gateway, after all `waitUntil` work. */
export function makeLimited(
  limiters: readonly RawLimiter[],
  platform: Platform,
  origin: Handler = () => Promise.resolve(new Response('ok')),
) {
  const config = rateLimit.config.parse(limiters)
  const layers = [rateLimitBeforeAuth, rateLimit].map((policy) => policy.compile(config, platform, makeTestFacts()))
  const handler = compose(layers, origin)
  return async (request: RequestInit = {}, parts: Partial<Exchange> = {}) => {
    const x = makeTestExchange(new Request('https://gw.test/users/7', request), parts)
    const response = applyHeaderEdits(await handler(x), x.edits)
    await x.settled()
    const body = await response.text()
    return { status: response.status, headers: response.headers, body, left: response.headers.get('ratelimit') }
  }
}

/** A caller with these claims, or with an API key. */
export function makeIdentity(parts: Partial<Identity>): { identity: Identity } {
  return {
    identity: {
      provider: 'main',
      issuer: 'https://id.test/',
      subject: '7',
      scopes: [],
      roles: [],
      claims: {},
      ...parts,
    },
  }
}
