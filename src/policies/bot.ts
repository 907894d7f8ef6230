import * as z from 'zod/mini'
import { choice, doc } from '../config/schema/scalars.ts'
import type { Exchange } from '../core/exchange.ts'
import { definePolicy } from '../core/policy.ts'
import { problem } from '../core/problem.ts'

/** The policy `bot`: refuses requests that the platform classifies as automated. It needs Cloudflare's Bot Management; elsewhere `onUnknown` applies to every request. */
export const bot = definePolicy({
  name: 'bot',
  config: z.strictObject({
    minScore: doc(
      z.prefault(z.int().check(z.gte(1), z.lte(99)), 30),
      'The lowest score that is admitted, on Cloudflare’s scale from 1 (certainly automated) to 99 (certainly a person). Default 30.',
    ),
    verified: doc(
      z.prefault(choice(['allow', 'deny']), 'allow'),
      'Bots that Cloudflare has verified, such as search engines, regardless of their score. Default allow.',
    ),
    onUnknown: doc(
      z.prefault(choice(['allow', 'deny']), 'deny'),
      'For a request without a score, which is every request without Bot Management. Default deny.',
    ),
  }),
  compile:
    ({ minScore, verified, onUnknown }) =>
    (next) =>
    (x) => {
      const score = botScoreOf(x)
      const isAllowed =
        score === undefined ? onUnknown === 'allow' : score === 'verified' ? verified === 'allow' : score >= minScore
      return isAllowed ? next(x) : Promise.resolve(problem('bot-refused'))
    },
})

/** The platform's score of the sender, or `verified`; undefined without a score, and for 0, which means that none was computed. */
function botScoreOf(x: Exchange): number | 'verified' | undefined {
  const management = x.request.cf?.botManagement as { score?: unknown; verifiedBot?: unknown } | undefined
  if (management?.verifiedBot === true) return 'verified'
  return typeof management?.score === 'number' && management.score > 0 ? management.score : undefined
}
