import { env } from 'cloudflare:workers'
import { authProvider } from '../../src/auth/config/auth-provider.ts'
import type { Handler } from '../../src/core/pipeline.ts'
import { auth } from '../../src/policies/auth.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestFacts, makeTestPlatform } from '../support/platform.ts'

const handlers = new Map<string, Handler>()

/** A route with `auth` alone, whose issuer publishes its keys at the variable ISSUER_URL plus the path of the request. */
export default {
  fetch(request: Request, _: unknown, context: ExecutionContext): Promise<Response> {
    const { pathname } = new URL(request.url)
    const handler = handlers.get(pathname) ?? compile(pathname)
    handlers.set(pathname, handler)
    return handler(makeTestExchange(request, { waitUntil: (work) => context.waitUntil(work) }))
  },
}

function compile(pathname: string): Handler {
  const { ISSUER_URL } = env as unknown as { ISSUER_URL: string }
  const main = authProvider.parse({
    type: 'jwt',
    issuer: 'https://id.test/',
    audience: 'api',
    algorithms: ['ES256'],
    jwksUri: ISSUER_URL + pathname,
  })
  const platform = makeTestPlatform({ authProviders: { main } })
  const facts = makeTestFacts({ hasAuth: true, authProviders: platform.authProviders })
  return auth.compile(
    auth.config.parse({ providers: ['main'] }),
    platform,
    facts,
  )((x) => Promise.resolve(Response.json(x.identity)))
}
