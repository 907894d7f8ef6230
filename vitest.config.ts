import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

/** Tests that run on Node, against gateways in processes of their own; all others run inside workerd. */
const NODE = ['test/e2e/**', 'test/node/**', 'test/chaos/**']
/** Tests that need the machine for themselves, because they measure time under load: `npm run test:soak`. */
const SOAK = 'test/**/*.soak.test.ts'

const workerd = {
  plugins: [
    cloudflareTest(({ inject }) => ({
      // Durable Objects as deployed, without the gateway that src/index.ts makes of the demo's routes.json.
      main: './test/support/worker.ts',
      // workerd then prints errors alone, not every connection that a test breaks on purpose.
      verbose: false,
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
    globalSetup: ['./test/support/global-setup.ts'],
    // A workerd for each file would cost more than most files: they share a few.
    isolate: false,
    testTimeout: 20_000,
    // A rejected RPC is reported as unhandled although its caller caught it.
    onUnhandledError: (error: object) => !(error as { remote?: boolean }).remote,
  },
}
const node = {
  test: { globalSetup: ['./test/support/build-worker.ts'], testTimeout: 60_000, hookTimeout: 120_000 },
}

export default defineConfig({
  test: {
    // Many tests measure time against real processes: with more workers than cores they would measure each other.
    maxWorkers: 2,
    // What the gateway under test logs is of interest when its test fails.
    silent: 'passed-only',
    projects: [
      {
        ...workerd,
        test: { ...workerd.test, name: 'workerd', include: ['test/**/*.test.ts'], exclude: [...NODE, SOAK] },
      },
      {
        ...node,
        test: { ...node.test, name: 'node', include: NODE.map((folder) => `${folder}/*.test.ts`), exclude: [SOAK] },
      },
      {
        ...workerd,
        test: { ...workerd.test, name: 'soak-workerd', include: [SOAK], exclude: NODE, fileParallelism: false },
      },
      {
        ...node,
        test: {
          ...node.test,
          name: 'soak-node',
          include: NODE.map((folder) => `${folder}/*.soak.test.ts`),
          fileParallelism: false,
        },
      },
    ],
  },
})
