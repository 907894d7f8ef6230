import { env } from 'cloudflare:workers'
import routes from '../.build/routes.txt'
import type { Config } from './config/routes-file.ts'
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
const config = JSON.parse(routes) as Config

export default makeGateway(config, makePlatform(env, config))
