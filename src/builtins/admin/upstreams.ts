import * as z from 'zod/mini'
import { expectedOneOf, nearest } from '../../config/schema/diagnostic.ts'
import type { Platform } from '../../core/platform.ts'
import type { GlobalStateView } from '../../upstream/circuit-breaker/api.ts'
import type { Health } from '../../upstream/health/health.ts'
import type { TargetView } from '../../upstream/target.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import type { AdminEndpoint } from './endpoint.ts'
import { makeUpstreamEndpoints, type UpstreamState } from './upstream-resource.ts'
const change = z.strictObject({ target: z.string(), drained: z.boolean() })

/** Targets: which may get requests, what the checks of each region say of them, and what the isolate that answers knows. */
export function makeTargetEndpoints(upstreams: readonly Upstream[], platform: Platform): AdminEndpoint[] {
  return makeUpstreamEndpoints(
    {
      name: 'targets',
      owner: 'upstream',
      upstreams,
      change,
      order: ({ target, drained }, upstream, world) => {
        const labels = labelsOf(upstream, world)
        if (!labels.includes(target)) return `target: no target "${target}"; ${expectedOneOf(target, labels)}`
        return drained ? { drain: target } : { restore: target }
      },
      affected: ({ target }, world) => ({ target, value: world.drained.includes(target) }),
      view: (upstream, state) => {
        const here = upstream.describeTargets()
        const targets = labelsOf(upstream, state.global).map((label) => describe(label, here, state))
        return { upstream: upstream.name, targets }
      },
    },
    platform,
  )
}

/** Those of the configuration, and those that are drained although they have left it: they would be so again on their return. */
function labelsOf({ targets }: Upstream, { drained }: GlobalStateView): string[] {
  return [...new Set([...targets.map(({ label }) => label), ...drained])]
}

function describe(label: string, here: readonly TargetView[], { global: world, regions }: UpstreamState): object {
  const drained = world.drained.includes(label)
  const found = here.find((one) => one.label === label)
  if (found === undefined) return { target: label, configured: false, drained }
  const { label: _, weight, ...seen } = found
  return { target: label, configured: true, drained, weight, health: healthOf(label, regions), here: seen }
}

/** By region, where the target is checked. */
function healthOf(label: string, regions: UpstreamState['regions']): object {
  const found = regions.map(({ region, breaker }) => [region, breaker?.health[label]] as const)
  return Object.fromEntries(found.flatMap(([region, health]) => (health ? [[region, shown(health)]] : [])))
}

function shown(health: Health): object {
  return health.state === 'healthy' ? health : { ...health, since: new Date(health.since).toISOString() }
}

const STATES = ['open', 'closed'] as const

const breakerChange = z.strictObject({
  forced: z.literal([...STATES, null], {
    error: ({ input }) => {
      const guess = typeof input === 'string' ? nearest(input, STATES) : undefined
      const question = guess === undefined ? '' : `did you mean "${guess}"? `
      return `${question}expected "open", "closed", or null, which lets it decide again`
    },
  }),
})

/** Circuit breakers: what an operator has forced, what is so everywhere, and what each region says of its own. */
export function makeBreakerEndpoints(upstreams: readonly Upstream[], platform: Platform): AdminEndpoint[] {
  return makeUpstreamEndpoints(
    {
      name: 'breakers',
      owner: 'upstream with a circuitBreaker',
      upstreams: upstreams.filter(({ config }) => config.circuitBreaker !== undefined),
      change: breakerChange,
      order: ({ forced }) => ({ force: forced }),
      affected: (_, { forced }) => ({ value: forced }),
      view: ({ name, condition, breakerStore, timesAlone }, { global: { forced, everywhere, leases }, regions }) => ({
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
