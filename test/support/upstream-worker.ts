import * as z from 'zod/mini'
import type { Handler } from '../../src/core/pipeline.ts'
import type { Platform } from '../../src/core/platform.ts'
import { problem } from '../../src/core/problem.ts'
import { DEFAULT_AUDIT_RETENTION } from '../../src/identity/store-limits.ts'
import type { OperatorOrder } from '../../src/upstream/circuit-breaker/api.ts'
import { upstream as upstreamSchema } from '../../src/upstream/config.ts'
import { compileUpstream, makeUpstream } from '../../src/upstream/upstream.ts'
import { makeTestExchange } from './exchange.ts'

export { CircuitBreaker } from '../../src/upstream/circuit-breaker/breaker-object.ts'
export { GlobalUpstreamState } from '../../src/upstream/circuit-breaker/global-state-object.ts'

interface Env extends Cloudflare.Env {
  UPSTREAM: string
}

const calls = { fetch: 0, object: 0 }
let compiled: { handler: Handler; state: () => object } | undefined

function compile(env: Env) {
  const breakers = new Proxy(env.BREAKERS, {
    get: (namespace, key) => {
      if (key === 'getByName') calls.object++
      const value: unknown = Reflect.get(namespace, key)
      return typeof value === 'function' ? value.bind(namespace) : value
    },
  })
  const platform: Platform = {
    secret: () => undefined,
    variable: () => undefined,
    now: Date.now,
    random: Math.random,
    fetch: (url, init) => {
      calls.fetch++
      return fetch(url, init)
    },
    authProviders: {},
    region: () => 'local',
    breakers,
    globalUpstreams: env.GLOBAL_UPSTREAMS,
    hasAdmin: false,
    limitShards: env.LIMITS,
    identityStore: env.IDENTITY,
    nonceStores: env.NONCES,
    loginGuards: env.LOGINS,
    cacheCoordinators: env.CACHE_STATE,
    edgeCache: caches.default,
    auditRetention: DEFAULT_AUDIT_RETENTION,
    supervisor: undefined,
    oauthPaths: {},
  }
  const upstream = makeUpstream('faults', z.parse(upstreamSchema, JSON.parse(env.UPSTREAM)), platform)
  const state = () => ({
    inFlight: upstream.load.inFlight,
    waiting: upstream.inFlightRequests.count,
    condition: upstream.condition(),
    store: upstream.breakerStore(),
    targets: upstream.describeTargets(),
    ...calls,
  })
  return { handler: compileUpstream(upstream, undefined, platform), state }
}

/** The upstream stages alone, around the real network: what the gateway would do with a request that passed every policy. */
export default {
  fetch: (request: Request, env: Env, ctx: ExecutionContext): Response | Promise<Response> => {
    compiled ??= compile(env)
    const { pathname } = new URL(request.url)
    if (pathname === '/-/state') return Response.json(compiled.state())
    if (pathname === '/-/steer') return steer(request, env)
    const x = makeTestExchange(request, { waitUntil: (work) => ctx.waitUntil(work) })
    const done = compiled.handler(x).catch(() => problem('internal-error'))
    // As the gateway does: a client's reset drops this handler, and not the work.
    ctx.waitUntil(done)
    return done
  },
}

async function steer(request: Request, env: Env): Promise<Response> {
  return Response.json(await env.GLOBAL_UPSTREAMS.getByName('faults').order(await request.json<OperatorOrder>()))
}
