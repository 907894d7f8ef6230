import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { complaintText } from '../../src/config/schema/diagnostic.ts'
import { oauthPaths } from '../../src/config/oauth-builtins.ts'
import { loadConfig } from '../../src/config/load.ts'
import { makeGateway } from '../../src/gateway.ts'
import type { Site } from '../../src/core/policy.ts'
import { makeTestSite } from './platform.ts'

export interface TestGateway {
  /** The gateway's answer; `settled` waits for what it left to `waitUntil`. */
  readonly fetch: (url: string, init?: RequestInit) => Promise<Response>
  readonly settled: () => Promise<void>
}

/** The whole gateway, compiled from the text of a routes.json, in this test's workerd. Throws with the complaints of a broken file. */
export function makeTestGateway(routesFile: Record<string, unknown>, site: Partial<Site> = {}): TestGateway {
  const loaded = loadConfig({ version: 1, ...routesFile })
  if ('complaints' in loaded) throw new Error(loaded.complaints.map(complaintText).join('\n'))
  const { authProviders, routes } = loaded.config
  const parts = { authProviders, oauthPaths: oauthPaths(routes), ...site }
  const gateway = makeGateway(loaded.config, makeTestSite(parts))
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
