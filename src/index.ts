import { env, WorkerEntrypoint } from 'cloudflare:workers'
import routes from '../.build/routes.txt'
import type { Config } from './config/routes-file.ts'
import { executeObjectCall, type ObjectCall } from './core/remote-objects.ts'
import { makePlatform } from './env.ts'
import { makeGateway } from './gateway.ts'

export { CacheCoordinator } from './cache/cache-coordinator.ts'
export { CircuitBreaker } from './upstream/circuit-breaker/breaker-object.ts'
export { IdentityStore } from './identity/store/identity-store.ts'
export { LimitShard } from './limits/store/limit-shard.ts'
export { LoginGuard } from './identity/login-guard.ts'
export { NonceStore } from './signatures/nonce-store.ts'
export { GlobalUpstreamState } from './upstream/circuit-breaker/global-state-object.ts'

// dev/build.ts has checked and normalized this text, so nothing is validated at start-up.
let gateway = compile(routes, env)

export default {
  fetch: (request, bindings, context) => gateway.fetch(request, bindings, context),
} satisfies ExportedHandler<Cloudflare.Env>

function compile(text: string, bindings: Cloudflare.Env) {
  const config = JSON.parse(text) as Config
  return makeGateway(config, makePlatform(bindings, config))
}

/** What the supervisor of a self-hosted gateway sends to take another routes file: its checked text, and all variables that it names. */
interface Reload {
  readonly routes: string
  readonly variables: Readonly<Record<string, string>>
}

/**
 * The supervisor's socket of this process (deploy/config.ts); nothing else can reach it. PUT replaces the routes for all further requests. Requests
 * in flight, streams and WebSockets go on with those that they began with. The response is 409 with the reason when they cannot be compiled.
 */
export class Control extends WorkerEntrypoint {
  override async fetch(request: Request): Promise<Response> {
    try {
      const { routes: text, variables } = await request.json<Reload>()
      gateway = compile(text, { ...env, ...variables })
      return new Response(null, { status: 204 })
    } catch (error) {
      return new Response(error instanceof Error ? error.message : String(error), { status: 409 })
    }
  }
}

/** The Durable Objects of this process, for the gateways of other processes (deploy/config.ts). */
export class StateCalls extends WorkerEntrypoint {
  call(secret: unknown, call: ObjectCall): Promise<unknown> {
    return executeObjectCall(this.env, secret, call)
  }
}
