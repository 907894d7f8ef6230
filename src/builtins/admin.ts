import { Hono, type Context } from 'hono'
import type { Exchange } from '../exchange.ts'
import type { Handler } from '../pipeline.ts'
import type { Site } from '../policy.ts'
import { problem } from '../problem.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { makeBreakers } from './admin/breakers.ts'
import type { Resource } from './admin/resource.ts'
import { makeTargets } from './admin/targets.ts'

type Admin = Hono<{ Bindings: { readonly x: Exchange } }>

/**
 * Breakers and targets, to see and to steer, below whatever path the route has. It asks nobody who they are: that is for the route's policies, and a
 * configuration whose policies let everybody in is refused.
 */
export function makeAdmin(upstreams: readonly Upstream[], site: Site): Handler {
  const resources = [makeBreakers(upstreams, site), makeTargets(upstreams, site)]
  const app: Admin = new Hono({ strict: false })
  const paths = resources.flatMap(({ name }) => [name, `${name}/{upstream}`])
  app.get('/', (c) => json(c, { endpoints: paths }))
  for (const resource of resources) mount(app, resource)
  app.all('/', () => notAllowed('GET, HEAD'))
  app.notFound(() => problem('admin-not-found', { detail: `expected one of ${paths.join(', ')}` }))
  // Hono would answer a text of its own; the gateway reports what throws, and answers a problem.
  app.onError((error) => {
    throw error
  })
  return async (x) => app.fetch(below(x), { x })
}

function mount(app: Admin, { name, list, see, steer }: Resource): void {
  app.get(`/${name}`, async (c) => json(c, { [name]: await list() }))
  app.all(`/${name}`, () => notAllowed('GET, HEAD'))
  app.get(`/${name}/:upstream`, async (c) => json(c, await see(c.req.param('upstream'))))
  app.put(`/${name}/:upstream`, async (c) => json(c, await steer(c.req.param('upstream'), c.env.x)))
  app.all(`/${name}/:upstream`, () => notAllowed('GET, HEAD, PUT'))
}

/** The same request as the app sees it: what stands behind the route's own path. Its body stays with the exchange, where policies have it in their hands. */
function below({ request: { method }, params }: Exchange): Request {
  return new Request(`http://admin/${params['*'] ?? ''}`, { method: method === 'HEAD' ? 'GET' : method })
}

function json(c: Context, answer: object): Response {
  return answer instanceof Response ? answer : c.json(answer, 200, { 'cache-control': 'no-store' })
}

function notAllowed(methods: string): Response {
  return problem('method-not-allowed', { headers: { allow: methods } })
}
