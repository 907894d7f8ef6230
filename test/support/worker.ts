export { CacheCoordinator } from '../../src/state/cache-coordinator.ts'
export { CircuitBreaker } from '../../src/state/circuit-breaker.ts'
export { IdentityStore } from '../../src/state/identity-store.ts'
export { LimitShard } from '../../src/state/limit-shard.ts'
export { LoginGuard } from '../../src/state/login-guard.ts'
export { NonceStore } from '../../src/state/nonce-store.ts'
export { UpstreamWorld } from '../../src/state/upstream-world.ts'

export default { fetch: () => new Response('tests make gateways of their own') }
