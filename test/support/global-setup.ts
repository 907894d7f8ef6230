import type { TestProject } from 'vitest/node'
import { startUpstash } from '../../dev/upstash/server.ts'
import { startOrigin } from './origin.ts'
import { startUpstashControl } from './upstash-control.ts'

declare module 'vitest' {
  interface ProvidedContext {
    originPort: number
    upstash: { url: string; token: string; controlUrl: string }
  }
}

/**
 * Starts what tests inside workerd call: the real HTTP origin (the variable ORIGIN_PORT), a real Redis behind Upstash's
 * protocol (TEST_UPSTASH_URL, TEST_UPSTASH_TOKEN), and where to get further ones that may be stopped or killed.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [origin, upstash, control] = await Promise.all([startOrigin(), startUpstash(), startUpstashControl()])
  project.provide('originPort', origin.port)
  project.provide('upstash', { url: upstash.url, token: upstash.token, controlUrl: control.url })
  return async () => {
    await Promise.all([origin.stop(), upstash.stop(), control.stop()])
  }
}
