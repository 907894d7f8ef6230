import * as z from 'zod/mini'
import { choice, doc } from '../config/schema/scalars.ts'
import type { Exchange } from '../core/exchange.ts'
import { definePolicy } from '../core/policy.ts'
import { problem } from '../core/problem.ts'

/** Turns away what the platform takes for a program. It needs Cloudflare's Bot Management; elsewhere `onUnknown` decides everything. */
export const bot = definePolicy({
  name: 'bot',
  config: z.strictObject({
    minScore: doc(
      z.prefault(z.int().check(z.gte(1), z.lte(99)), 30),
      'The least score that is let in, of Cloudflare’s from 1 (surely a program) to 99 (surely a person). Default 30.',
    ),
    verified: doc(
      z.prefault(choice(['allow', 'deny']), 'allow'),
      'Programs that Cloudflare knows and has verified, such as search engines, whatever their score. Default allow.',
    ),
    onUnknown: doc(
      z.prefault(choice(['allow', 'deny']), 'deny'),
      'For a request that the platform says nothing of, which is every request where there is no Bot Management. Default deny.',
    ),
  }),
  compile:
    ({ minScore, verified, onUnknown }) =>
    (next) =>
    (x) => {
      const judged = judgementOf(x)
      const isAllowed =
        judged === undefined ? onUnknown === 'allow' : judged.verified ? verified === 'allow' : judged.score >= minScore
      return isAllowed ? next(x) : Promise.resolve(problem('bot-refused'))
    },
})

/** What the platform says of who sent the request; undefined where it says no score, or 0, which is its word for that. */
function judgementOf(x: Exchange): { readonly score: number; readonly verified: boolean } | undefined {
  const said = x.request.cf?.botManagement as { score?: unknown; verifiedBot?: unknown } | undefined
  if (said?.verifiedBot === true) return { score: 0, verified: true }
  return typeof said?.score === 'number' && said.score > 0 ? { score: said.score, verified: false } : undefined
}
