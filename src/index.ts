import { env } from 'cloudflare:workers'
import routes from '../.build/routes.txt'
import type { Config } from './config/routes-file.ts'
import { makeGateway } from './gateway.ts'
import { makePlatform } from './env.ts'

export { CacheCoordinator } from './state/cache-coordinator.ts'
export { CircuitBreaker } from './state/circuit-breaker.ts'
export { IdentityStore } from './state/identity-store.ts'
export { LimitShard } from './state/limit-shard.ts'
export { LoginGuard } from './state/login-guard.ts'
export { NonceStore } from './state/nonce-store.ts'
export { UpstreamWorld } from './state/upstream-world.ts'

// dev/build.ts has checked and normalised this text: nothing is validated again at start-up.
const config = JSON.parse(routes) as Config

export default makeGateway(config, makePlatform(env, config))
