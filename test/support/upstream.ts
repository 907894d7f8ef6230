import * as z from 'zod/mini'
import type { Platform } from '../../src/core/platform.ts'
import { upstream as upstreamSchema } from '../../src/upstream/config.ts'
import { compileUpstream, makeUpstream, type UpstreamOverride } from '../../src/upstream/upstream.ts'
import { makeTestPlatform } from './platform.ts'

let nth = 0

/** An upstream as routes.json would state it, under a name of its own, with the handler of a route that uses it. */
export function makeTestUpstream(
  config: object,
  {
    name = `test-${nth++}`,
    override,
    ...parts
  }: Partial<Platform> & { name?: string; override?: UpstreamOverride } = {},
) {
  const platform = makeTestPlatform(parts)
  const upstream = makeUpstream(name, z.parse(upstreamSchema, config), platform)
  return { upstream, handler: compileUpstream(upstream, override, platform) }
}

/** What the origin saw of a request. */
export async function echoOf(response: Response) {
  const { method, target, headers, body } = (await response.json()) as Record<'method' | 'target' | 'body', string> & {
    headers: string[]
  }
  const pairs = headers.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), headers[i + 1]!] as const] : []))
  return { method, target, body, headers: Object.fromEntries(pairs) as Record<string, string> }
}
