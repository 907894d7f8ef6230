import * as z from 'zod/mini'
import { expectedOneOf, nearest } from '../../config/schema/diagnostic.ts'
import type { Platform } from '../../core/platform.ts'
import type { GlobalStateView } from '../../upstream/circuit-breaker/api.ts'
import type { Health } from '../../upstream/health/health.ts'
import type { TargetView } from '../../upstream/target.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import type { AdminEndpoint } from './endpoint.ts'
import { makeUpstreamEndpoints, type UpstreamState } from './upstream-resource.ts'

const targetChange = z.strictObject({ target: z.string(), drained: z.boolean() })

/** The endpoints of targets: whether each is drained, its health in each region, and its state in the isolate that responds. */
export function makeTargetEndpoints(upstreams: readonly Upstream[], platform: Platform): AdminEndpoint[] {
  return makeUpstreamEndpoints(
    {
      name: 'targets',
      owner: 'upstream',
      upstreams,
      change: targetChange,
      order: ({ target, drained }, upstream, globalState) => {
        const labels = labelsOf(upstream, globalState)
        if (!labels.includes(target)) return `target: no target "${target}"; ${expectedOneOf(target, labels)}`
        return drained ? { drain: target } : { restore: target }
      },
      affected: ({ target }, globalState) => ({ target, value: globalState.drained.includes(target) }),
      view: (upstream, state) => {
        const here = upstream.describeTargets()
        const targets = labelsOf(upstream, state.globalState).map((label) => targetBody(label, here, state))
        return { upstream: upstream.name, targets }
      },
    },
    platform,
  )
}

/** The labels of the configured targets, and of drained ones that have left the configuration: they are drained again when they return. */
function labelsOf({ targets }: Upstream, { drained }: GlobalStateView): string[] {
  return [...new Set([...targets.map(({ label }) => label), ...drained])]
}

function targetBody(label: string, here: readonly TargetView[], { globalState, regions }: UpstreamState): object {
  const drained = globalState.drained.includes(label)
  const found = here.find((one) => one.label === label)
  if (found === undefined) return { target: label, configured: false, drained }
  const { label: _, weight, ...seen } = found
  return { target: label, configured: true, drained, weight, health: healthOf(label, regions), here: seen }
}

/** The health of a target by region, where it is checked. */
function healthOf(label: string, regions: UpstreamState['regions']): object {
  const found = regions.map(({ region, breaker }) => [region, breaker?.health[label]] as const)
  return Object.fromEntries(found.flatMap(([region, health]) => (health ? [[region, healthBody(health)]] : [])))
}

function healthBody(health: Health): object {
  return health.state === 'healthy' ? health : { ...health, since: new Date(health.since).toISOString() }
}

const STATES = ['open', 'closed'] as const

const breakerChange = z.strictObject({
  forced: z.literal([...STATES, null], {
    error: ({ input }) => {
      const suggestion = typeof input === 'string' ? nearest(input, STATES) : undefined
      const question = suggestion === undefined ? '' : `did you mean "${suggestion}"? `
      return `${question}expected "open", "closed", or null, which lets it decide again`
    },
  }),
})

/** The endpoints of breakers: the forced state, the state shared by all regions, and the state of each region. */
export function makeBreakerEndpoints(upstreams: readonly Upstream[], platform: Platform): AdminEndpoint[] {
  return makeUpstreamEndpoints(
    {
      name: 'breakers',
      owner: 'upstream with a circuitBreaker',
      upstreams: upstreams.filter(({ config }) => config.circuitBreaker !== undefined),
      change: breakerChange,
      order: ({ forced }) => ({ force: forced }),
      affected: (_, { forced }) => ({ value: forced }),
      view: (
        { name, condition, breakerStore, undeliveredReports: timesAlone },
        { globalState: { forced, everywhere, leases }, regions },
      ) => ({
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
