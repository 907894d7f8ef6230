declare namespace Cloudflare {
  interface GlobalProps {
    mainModule: typeof import('./src/index.ts')
  }
  /** The bindings of wrangler.toml. Variables and secrets are read by name through `Site`. */
  interface Env {
    BREAKERS: DurableObjectNamespace<import('./src/state/circuit-breaker.ts').CircuitBreaker>
    LIMITS: DurableObjectNamespace<import('./src/state/limit-shard.ts').LimitShard>
    /** Only in tests: where the real origin listens. */
    ORIGIN_PORT: string
  }
}
