declare namespace Cloudflare {
  interface GlobalProps {
    mainModule: typeof import('./test/support/worker.ts')
  }
  /** The bindings of wrangler.toml. Variables and secrets are read by name through `Platform`. */
  interface Env {
    BREAKERS: DurableObjectNamespace<import('./src/upstream/circuit-breaker/breaker-object.ts').CircuitBreaker>
    GLOBAL_UPSTREAMS: DurableObjectNamespace<
      import('./src/upstream/circuit-breaker/global-state-object.ts').GlobalUpstreamState
    >
    LIMITS: DurableObjectNamespace<import('./src/limits/store/limit-shard.ts').LimitShard>
    IDENTITY: DurableObjectNamespace<import('./src/identity/store/identity-store.ts').IdentityStore>
    LOGINS: DurableObjectNamespace<import('./src/identity/login-guard.ts').LoginGuard>
    NONCES: DurableObjectNamespace<import('./src/signatures/nonce-store.ts').NonceStore>
    CACHE_STATE: DurableObjectNamespace<import('./src/cache/cache-coordinator.ts').CacheCoordinator>
    /** Only where the objects are in a process of their own. */
    STATE?: import('./src/core/remote-objects.ts').StateService
    /** Only under `npm run serve`: the program that started this process. */
    SUPERVISOR?: Fetcher
    /** Only in tests: where the real origin listens. */
    ORIGIN_PORT: string
    /** Only in tests: a real Redis behind Upstash's REST protocol, shared by the test files; tests choose keys of their own. */
    TEST_UPSTASH_URL: string
    TEST_UPSTASH_TOKEN: string
    /** Only in tests: starts further ones that a test may stop or kill (test/support/upstash-control.ts). */
    TEST_UPSTASH_CONTROL_URL: string
  }
}

/** Files that wrangler embeds as text. */
declare module '*.txt' {
  const text: string
  export default text
}
