export { CircuitBreaker } from '../../src/state/circuit-breaker.ts'
export { LimitShard } from '../../src/state/limit-shard.ts'
export { UpstreamWorld } from '../../src/state/upstream-world.ts'

export default { fetch: () => new Response('tests make gateways of their own') }
