export { CacheCoordinator } from '../../src/cache/cache-coordinator.ts'
export { CircuitBreaker } from '../../src/upstream/circuit-breaker/breaker-object.ts'
export { IdentityStore } from '../../src/identity/store/identity-store.ts'
export { LimitShard } from '../../src/limits/store/limit-shard.ts'
export { LoginGuard } from '../../src/identity/login-guard.ts'
export { NonceStore } from '../../src/signatures/nonce-store.ts'
export { GlobalUpstreamState } from '../../src/upstream/circuit-breaker/global-state-object.ts'

export default { fetch: () => new Response('tests make gateways of their own') }
