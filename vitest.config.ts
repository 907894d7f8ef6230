import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      {
        plugins: [
          cloudflareTest(({ inject }) => ({
            // Durable Objects as deployed, without the gateway that src/index.ts makes of the demo's routes.json.
            main: './test/support/worker.ts',
            wrangler: { configPath: './wrangler.toml' },
            miniflare: {
              bindings: {
                ORIGIN_PORT: String(inject('originPort')),
                TEST_UPSTASH_URL: inject('upstash').url,
                TEST_UPSTASH_TOKEN: inject('upstash').token,
                TEST_UPSTASH_CONTROL_URL: inject('upstash').controlUrl,
              },
            },
          })),
        ],
        test: {
          name: 'workerd',
          include: ['test/**/*.test.ts'],
          exclude: ['test/e2e/**', 'test/node/**', 'test/chaos/**'],
          globalSetup: ['./test/support/global-setup.ts'],
          // A rejected RPC is reported as unhandled although its caller caught it.
          onUnhandledError: (error) => !(error as { remote?: boolean }).remote,
        },
      },
      {
        test: {
          name: 'node',
          include: ['test/e2e/**/*.test.ts', 'test/node/**/*.test.ts', 'test/chaos/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
