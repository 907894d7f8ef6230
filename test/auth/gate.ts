import type { AuthProviderConfig } from '../../src/auth/config/auth-provider.ts'
import type { Exchange } from '../../src/core/exchange.ts'
import type { Platform } from '../../src/core/platform.ts'
import type { RouteParts } from '../../src/core/policy.ts'
import { auth } from '../../src/policies/auth.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeIssuer, provider, type TestKey } from './issuer.ts'
import { makeTestFacts, makeTestPlatform } from '../support/platform.ts'

export interface Passage {
  readonly response: Response
  readonly status: number
  /** The problem's code; undefined when the request was let through. */
  readonly code: string | undefined
  readonly x: Exchange
}

/** A route with `auth` in front of a terminal that answers 200; each call sends one request, from the address `ip`, and waits for its background work. */
export function makeGate(platform: Platform, config: Record<string, unknown> = {}, parts: Partial<RouteParts> = {}) {
  const parsed = auth.config.parse({ providers: Object.keys(platform.authProviders), ...config })
  const facts = makeTestFacts({ hasAuth: true, authProviders: platform.authProviders, ...parts })
  const handler = auth.compile(parsed, platform, facts)(() => Promise.resolve(new Response('passed')))
  return async (authorization?: string, init: RequestInit = {}, ip?: string): Promise<Passage> => {
    const headers = new Headers(init.headers)
    if (authorization !== undefined) headers.set('authorization', authorization)
    const received = makeTestExchange(new Request('https://gw.test/users/7', { ...init, headers }))
    const x = ip === undefined ? received : { ...received, client: { ...received.client, ip } }
    const response = await handler(x)
    await x.settled()
    const body = await response.clone().text()
    const code = response.status === 200 ? undefined : (JSON.parse(body) as { code: string }).code
    return { response, status: response.status, code, x }
  }
}

/** A platform whose clock stands at `clock.now` (epoch ms), so that a test can move it. */
export function makeClockedPlatform(
  authProviders: Record<string, AuthProviderConfig>,
  parts: Partial<Platform> = {},
): { platform: Platform; clock: { now: number } } {
  const clock = { now: Date.now() }
  return { platform: makeTestPlatform({ authProviders, now: () => clock.now, ...parts }), clock }
}

/** A gate of one provider, `main`, with the keys of an issuer, on a clock that tests move. */
export function setupIssuer(keys: readonly TestKey[], fields: Record<string, unknown> = {}) {
  const issuer = makeIssuer(...keys)
  const { platform, clock } = makeClockedPlatform({ main: provider(fields) }, { fetch: issuer.fetch })
  const gate = makeGate(platform)
  const codeOf = async (token: string) => (await gate(`Bearer ${token}`)).code
  return { issuer, platform, clock, gate, codeOf, calls: () => issuer.calls.length }
}
