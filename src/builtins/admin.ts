import { Hono } from 'hono'
import { expectedOneOf } from '../config/schema/diagnostic.ts'
import type { Exchange } from '../core/exchange.ts'
import { makeIdentityClient } from '../identity/client.ts'
import type { Handler } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import { problem } from '../core/problem.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { makeAuditEndpoints } from './admin/audit.ts'
import { makeCacheEndpoints } from './admin/cache.ts'
import { makeOAuthClientEndpoints } from './admin/oauth-clients.ts'
import { jsonResponse, type AdminEndpoint } from './admin/endpoint.ts'
import { makeApiKeyEndpoints, makeSigningKeyEndpoints } from './admin/keys.ts'
import { makeRevocationEndpoints } from './admin/revocations.ts'
import { makeSessionEndpoints } from './admin/sessions.ts'
import { makeTargetEndpoints, makeBreakerEndpoints } from './admin/upstreams.ts'
import { makeUserEndpoints } from './admin/users.ts'

type Admin = Hono<{ Bindings: { readonly x: Exchange } }>

/**
 * What operators see and steer, below whatever path the route has. It asks nobody who they are: that is for the route's policies, and a configuration
 * whose policies let everybody in is refused.
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
  ]
  const app: Admin = new Hono({ strict: false })
  const paths = endpoints.map(({ path }) => path)
  app.get('/', () => jsonResponse({ endpoints: paths }))
  for (const endpoint of endpoints) mount(app, endpoint)
  app.all('/', () => notAllowed('GET, HEAD'))
  app.notFound((c) => problem('admin-not-found', { detail: expectedOneOf(c.req.path.slice(1), paths) }))
  // Hono would answer a text of its own; the gateway reports what throws, and answers a problem.
  app.onError((error) => {
    throw error
  })
  return async (x) => app.fetch(below(x), { x })
}

function mount(app: Admin, { path, handlers: on }: AdminEndpoint): void {
  const pattern = `/${path.replace(/\{\w+\}/, ':name')}`
  for (const [method, answer] of Object.entries(on))
    app.on(method, pattern, async (c) => {
      const query = new URL(c.req.url).searchParams
      const found = await answer({ x: c.env.x, name: c.req.param('name') ?? '', query })
      return found instanceof Response ? found : jsonResponse(found)
    })
  const allow = Object.keys(on).flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
  app.all(pattern, () => notAllowed(allow.join(', ')))
}

/** The same request as the app sees it: what stands behind the route's own path. Its body stays with the exchange, where policies have it in their hands. */
function below({ request: { method }, outgoing, params }: Exchange): Request {
  return new Request(`http://admin/${params['*'] ?? ''}${outgoing.search}`, {
    method: method === 'HEAD' ? 'GET' : method,
  })
}

function notAllowed(methods: string): Response {
  return problem('method-not-allowed', { headers: { allow: methods } })
}
