import * as z from 'zod/mini'
import type { Exchange } from '../../src/core/exchange.ts'
import type { Policy } from '../../src/core/policy.ts'
import { problemCode } from '../../src/core/problem.ts'
import { applyHeaderEdits } from '../../src/ingress/finish.ts'
import { makeTestExchange } from './exchange.ts'
import { makeTestFacts, makeTestPlatform } from './platform.ts'

/** What the client of one policy gets before an upstream that answers `upstream`: the code of a refusal, and the answer as it leaves. */
export async function askPolicy(
  policy: Policy,
  config: unknown,
  parts: Partial<Exchange> = {},
  upstream: () => Response = () => new Response('in'),
): Promise<{ code: string; response: Response }> {
  const x = makeTestExchange(parts.request, parts)
  const layer = policy.compile(z.parse(policy.config, config), makeTestPlatform(), makeTestFacts())
  const response = await layer(() => Promise.resolve(upstream()))(x)
  return { code: problemCode(response) ?? 'in', response: applyHeaderEdits(response, x.edits) }
}

/** What is wrong with a policy's configuration, a line each. */
export function policyDiagnostics(policy: Policy, config: unknown): string[] {
  const { data, error } = z.safeParse(policy.config, config)
  if (error) return error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
  return (policy.check?.(data, makeTestFacts()) ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`)
}
