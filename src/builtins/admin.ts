import { Hono } from 'hono/tiny'
import { expectedOneOf } from '../config/schema/diagnostic.ts'
import type { Exchange } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import { problem } from '../core/problem.ts'
import { makeIdentityClient } from '../identity/client.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { makeAuditEndpoints, makeRetentionSetter } from './admin/audit.ts'
import { makeCacheEndpoints } from './admin/cache.ts'
import { jsonResponse, type AdminEndpoint } from './admin/endpoint.ts'
import { makeApiKeyEndpoints, makeSigningKeyEndpoints } from './admin/keys.ts'
import { makeOAuthClientEndpoints } from './admin/oauth-clients.ts'
import { makeReloadEndpoints } from './admin/reload.ts'
import { makeRevocationEndpoints } from './admin/revocations.ts'
import { makeSessionEndpoints } from './admin/sessions.ts'
import { makeBreakerEndpoints, makeTargetEndpoints } from './admin/upstreams.ts'
import { makeUserEndpoints } from './admin/users.ts'

type AdminApp = Hono<{ Bindings: { readonly x: Exchange } }>

/**
 * The admin API, below the path of its route. It authenticates nobody: that is done by the route's policies, and a configuration whose policies
 * admit everybody is refused.
 */
export function makeAdmin(upstreams: readonly Upstream[], platform: Platform): Handler {
  const identity = makeIdentityClient(platform.identityStore)
  const endpoints = [
    ...makeBreakerEndpoints(upstreams, platform),
    ...makeTargetEndpoints(upstreams, platform),
    ...makeUserEndpoints(platform, identity),
    ...makeOAuthClientEndpoints(platform, identity),
    ...makeApiKeyEndpoints(platform, identity),
    ...makeSessionEndpoints(identity),
    ...makeRevocationEndpoints(platform, identity),
    ...makeSigningKeyEndpoints(identity),
    ...makeCacheEndpoints(platform, identity),
    ...makeAuditEndpoints(identity),
    ...makeReloadEndpoints(platform, identity),
  ]
  const app: AdminApp = new Hono({ strict: false })
  const paths = endpoints.map(({ path }) => path)
  app.get('/', () => jsonResponse({ endpoints: paths }))
  for (const endpoint of endpoints) mount(app, endpoint)
  app.all('/', () => notAllowed('GET, HEAD'))
  app.notFound((c) => problem('admin-not-found', { detail: expectedOneOf(c.req.path.slice(1), paths) }))
  // Without this Hono would respond with its own text; the gateway reports the error and responds with a problem.
  app.onError((error) => {
    throw error
  })
  const setRetention = makeRetentionSetter(platform, identity)
  return async (x) => {
    setRetention(x)
    const response = await app.fetch(relativeRequest(x), { x })
    return x.request.method === 'HEAD' ? new Response(null, response) : response
  }
}

function mount(app: AdminApp, { path, handlers: on }: AdminEndpoint): void {
  const pattern = `/${path.replace(/\{\w+\}/, ':name')}`
  for (const [method, handle] of Object.entries(on))
    app.on(method, pattern, async (c) => {
      const query = new URL(c.req.url).searchParams
      const result = await handle({ x: c.env.x, name: c.req.param('name') ?? '', query })
      return result instanceof Response ? result : jsonResponse(result)
    })
  const allow = Object.keys(on).flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
  app.all(pattern, () => notAllowed(allow.join(', ')))
}

/** The request with its path relative to the route's, for the app. The body stays in the exchange, where policies may have replaced it. */
function relativeRequest({ request: { method }, outgoing, params }: Exchange): Request {
  return new Request(`http://admin/${params['*'] ?? ''}${outgoing.search}`, {
    method: method === 'HEAD' ? 'GET' : method,
  })
}

function notAllowed(methods: string): Response {
  return problem('method-not-allowed', { headers: { allow: methods } })
}
