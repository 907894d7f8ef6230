import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { loadConfig } from '../../src/config/load.ts'
import { diagnosticText } from '../../src/config/schema/diagnostic.ts'
import type { Platform } from '../../src/core/platform.ts'
import { makeGateway } from '../../src/gateway.ts'
import { oauthPaths } from '../../src/identity/oauth-builtins.ts'
import { makeTestPlatform } from './platform.ts'

export interface TestGateway {
  /** The gateway's answer; `settled` waits for what it left to `waitUntil`. */
  readonly fetch: (url: string, init?: RequestInit) => Promise<Response>
  readonly settled: () => Promise<void>
}

/** The whole gateway, compiled from the text of a routes.json, in this test's workerd. Throws with the diagnostics of a broken file. */
export function makeTestGateway(routesFile: Record<string, unknown>, platform: Partial<Platform> = {}): TestGateway {
  const loaded = loadConfig({ version: 1, ...routesFile })
  if ('diagnostics' in loaded) throw new Error(loaded.diagnostics.map(diagnosticText).join('\n'))
  const { authProviders, routes } = loaded.config
  const parts = { authProviders, oauthPaths: oauthPaths(routes), ...platform }
  const gateway = makeGateway(loaded.config, makeTestPlatform(parts))
  const contexts: ExecutionContext[] = []
  return {
    async fetch(url, init) {
      const context = createExecutionContext()
      contexts.push(context)
      return gateway.fetch(new Request(new URL(url, 'http://gw.test'), init), env, context)
    },
    async settled() {
      for (const context of contexts.splice(0)) await waitOnExecutionContext(context)
    },
  }
}
