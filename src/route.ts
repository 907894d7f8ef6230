import { makeAdmin } from './builtins/admin.ts'
import { makeBootstrap } from './builtins/bootstrap.ts'
import { makeHealth } from './builtins/health.ts'
import { makeOAuthBuiltin } from './builtins/oauth.ts'
import { configOf, declaredFacts, factsOf, routeFacts, upstreamName, upstreamNames } from './config/route-facts.ts'
import type { RedirectConfig, RespondConfig, RouteConfig } from './config/routes-file.ts'
import type { Exchange } from './core/exchange.ts'
import { compose, passThrough, type Handler } from './core/pipeline.ts'
import type { Platform } from './core/platform.ts'
import type { LocationMode, RouteParts } from './core/policy.ts'
import { problem } from './core/problem.ts'
import { compilePath } from './core/template.ts'
import { isOAuthBuiltin } from './identity/oauth-builtins.ts'
import { policies } from './policies/index.ts'
import { withSpan } from './telemetry/tracing.ts'
import { compileUpstream, type Upstream } from './upstream/upstream.ts'

/** A compiled route. */
export interface CompiledRoute {
  readonly handler: Handler
  /** The same layers over the same state, with a span around each policy. Only sampled requests run it. */
  readonly traced: Handler
}

const ONCE = { retry: null, hedge: null } as const

/** Compiles a route: the policies that it configures, in the project's order, around its terminal. */
export function compileRoute(
  route: RouteConfig,
  upstreams: Readonly<Record<string, Upstream>>,
  platform: Platform,
): CompiledRoute {
  const [location] = factsOf(declaredFacts(route), 'location')
  const parts: RouteParts = {
    ...routeFacts(route, { authProviders: platform.authProviders, upstreams }),
    toldHeaders: upstreamNames(route).flatMap((name) => upstreams[name]!.config.tell),
    timeout: timeoutOf(route, upstreams),
    sendTo: (name, tries) => compileUpstream(upstreams[name]!, { ...(tries === 'once' && ONCE), location }, platform),
  }
  const layers = policies
    .map((policy) => ({ policy, config: configOf(route.policies, policy.name) }))
    .filter(({ config }) => config != null)
    .map(({ policy, config }) => ({ span: policy.span ?? policy.name, layer: policy.compile(config, platform, parts) }))
    .filter(({ layer }) => layer !== passThrough)
  const terminal = compileTerminal(route, location, upstreams, platform)
  return {
    handler: compose(
      layers.map(({ layer }) => layer),
      terminal,
    ),
    traced: compose(
      layers.map(({ span, layer }) => withSpan(span, layer)),
      terminal,
    ),
  }
}

function upstreamOf(route: RouteConfig, upstreams: Readonly<Record<string, Upstream>>): Upstream | undefined {
  const name = upstreamName(route)
  return name === undefined ? undefined : upstreams[name]
}

function timeoutOf(route: RouteConfig, upstreams: Readonly<Record<string, Upstream>>): number | undefined {
  const own = typeof route.upstream === 'object' ? route.upstream.timeout : undefined
  return own ?? upstreamOf(route, upstreams)?.config.timeout
}

function compileTerminal(
  route: RouteConfig,
  location: LocationMode | undefined,
  upstreams: Readonly<Record<string, Upstream>>,
  platform: Platform,
): Handler {
  const upstream = upstreamOf(route, upstreams)
  if (upstream) {
    const override = typeof route.upstream === 'string' ? undefined : route.upstream
    return compileUpstream(upstream, { ...override, location }, platform)
  }
  if (route.redirect) return compileRedirect(route.redirect)
  if (route.respond) return compileRespond(route.respond)
  if (route.builtin === 'admin') return makeAdmin(Object.values(upstreams), platform)
  if (route.builtin === 'bootstrap') return makeBootstrap(platform)
  if (isOAuthBuiltin(route.builtin)) return makeOAuthBuiltin(route.builtin, platform)
  const health = makeHealth(Object.values(upstreams), platform)
  return async (x) => health.fetch(x.request)
}

/** Responds with a `Location`. The query is kept, and a final `/*` becomes the rest that the matched wildcard holds. */
function compileRedirect(config: RedirectConfig): Handler {
  const { status, scheme, host, port } = config
  const path = compilePath(config.path)
  return (x) => {
    const target = path.render(x)
    if (target === undefined) return Promise.resolve(problem(path.fault(x)))
    // Relative unless `scheme`, `host` or `port` is configured: a response that a shared cache may store must not repeat the Host of one client.
    const { client } = x
    const base = scheme || host || port ? `${scheme ?? client.scheme}://${authorityOf(config, x)}` : ''
    const prefix = (host === undefined && client.prefix) || ''
    // A relative location that begins with `//` would name another host.
    const place = base === '' ? prefix + target.replace(/^\/+/, '/') : base + prefix + target
    return Promise.resolve(new Response(null, { status, headers: { location: place + x.outgoing.search } }))
  }
}

/** The host and port of a redirect. The port of the request belongs to its scheme: a redirect to the other scheme drops it. */
function authorityOf({ scheme, host, port }: RedirectConfig, { client }: Exchange): string {
  if (port !== undefined) return `${(host ?? client.host).replace(/:\d+$/, '')}:${port}`
  if (host !== undefined) return host
  return scheme === undefined || scheme === client.scheme ? client.host : client.host.replace(/:\d+$/, '')
}

/** Responds with the configured status, headers and body. */
function compileRespond({ status, headers, body }: RespondConfig): Handler {
  return () => Promise.resolve(new Response(body ?? null, { status, headers }))
}
