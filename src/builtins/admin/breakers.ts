import * as z from 'zod/mini'
import { nearest } from '../../config/schema/diagnostic.ts'
import type { Platform } from '../../core/platform.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import type { Endpoint } from './endpoint.ts'
import { makeResource } from './resource.ts'

const STATES = ['open', 'closed'] as const

const change = z.strictObject({
  forced: z.literal([...STATES, null], {
    error: ({ input }) => {
      const guess = typeof input === 'string' ? nearest(input, STATES) : undefined
      const question = guess === undefined ? '' : `did you mean "${guess}"? `
      return `${question}expected "open", "closed", or null, which lets it decide again`
    },
  }),
})

/** Circuit breakers: what an operator has forced, what is so everywhere, and what each region says of its own. */
export function makeBreakers(upstreams: readonly Upstream[], platform: Platform): Endpoint[] {
  return makeResource(
    {
      name: 'breakers',
      owner: 'upstream with a circuitBreaker',
      upstreams: upstreams.filter(({ config }) => config.circuitBreaker !== undefined),
      change,
      order: ({ forced }) => ({ force: forced }),
      about: (_, { forced }) => ({ value: forced }),
      view: ({ name, condition, breakerStore, timesAlone }, { world: { forced, everywhere, leases }, regions }) => ({
        upstream: name,
        forced,
        everywhere,
        leases,
        regions: regions.map(({ breaker, ...region }) => ({
          ...region,
          counted: breaker?.counted ?? null,
          alone: breaker?.alone ?? null,
          timesAlone: breaker?.timesAlone ?? null,
        })),
        here: { circuit: condition() === 'open' ? 'open' : 'closed', store: breakerStore(), timesAlone: timesAlone() },
      }),
    },
    platform,
  )
}
