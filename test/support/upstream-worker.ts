import * as z from 'zod/mini'
import { upstream as upstreamSchema } from '../../src/config/upstream.ts'
import type { Site } from '../../src/policy.ts'
import { problem } from '../../src/problem.ts'
import { compileUpstream, makeUpstream } from '../../src/upstream/upstream.ts'
import type { Handler } from '../../src/pipeline.ts'
import { makeTestExchange } from './exchange.ts'

export { CircuitBreaker } from '../../src/state/circuit-breaker.ts'

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
  const site: Site = {
    secret: () => undefined,
    variable: () => undefined,
    now: Date.now,
    random: Math.random,
    fetch: (url, init) => {
      calls.fetch++
      return fetch(url, init)
    },
    authProviders: {},
    breakers,
    limits: env.LIMITS,
  }
  const upstream = makeUpstream('faults', z.parse(upstreamSchema, JSON.parse(env.UPSTREAM)), site)
  const state = () => ({
    inFlight: upstream.load.inFlight,
    condition: upstream.condition(),
    store: upstream.breakerStore(),
    ...calls,
  })
  return { handler: compileUpstream(upstream, undefined, site), state }
}

/** The upstream stages alone, around the real network: what the gateway would do with a request that passed every policy. */
export default {
  fetch: async (request: Request, env: Env, ctx: ExecutionContext): Promise<Response> => {
    compiled ??= compile(env)
    if (new URL(request.url).pathname === '/-/state') return Response.json(compiled.state())
    const x = makeTestExchange(request, { waitUntil: (work) => ctx.waitUntil(work) })
    try {
      return await compiled.handler(x)
    } catch {
      return problem('internal-error')
    }
  },
}
