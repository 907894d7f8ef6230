import type * as z from 'zod/mini'
import { expectedOneOf } from '../../config/schema/diagnostic.ts'
import type { Exchange } from '../../core/exchange.ts'
import { makeIdentityClient } from '../../identity/client.ts'
import type { Platform } from '../../core/platform.ts'
import { problem } from '../../core/problem.ts'
import { callObject } from '../../core/durable-object.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import { makeAuditRecorder } from './audit.ts'
import { readChange } from './change.ts'
import type { AdminHandler, AdminEndpoint } from './endpoint.ts'
import { breakerName, locationOf, type Region } from '../../core/region.ts'
import type { BreakerView, GlobalStateView, OperatorOrder } from '../../upstream/circuit-breaker/api.ts'

/** Which upstreams have it, in words and one by one. */
interface Owners {
  readonly owner: string
  readonly upstreams: readonly Upstream[]
}

/** What tells one resource from another. */
export interface UpstreamResource<Change extends z.ZodMiniType> extends Owners {
  readonly name: string
  readonly change: Change
  /** What a change means to the upstream's object; a text says why it cannot be made. */
  readonly order: (change: z.output<Change>, upstream: Upstream, world: GlobalStateView) => OperatorOrder | string
  /** What of the world a change is about, for the log. */
  readonly affected: (
    change: z.output<Change>,
    world: GlobalStateView,
  ) => { readonly target?: string; readonly value: unknown }
  readonly view: (upstream: Upstream, state: UpstreamState) => object
}

/** Sees and steers one kind of thing in the objects that keep it; each change is written to the log, also one whose outcome nobody heard. */
export function makeUpstreamEndpoints<Change extends z.ZodMiniType>(kind: UpstreamResource<Change>, platform: Platform): AdminEndpoint[] {
  const { name, upstreams, order, affected: about, view } = kind
  const audit = makeAuditRecorder(platform, makeIdentityClient(platform.identityStore))
  const state = makeUpstreamStateClient(platform)

  const see = async (upstream: Upstream): Promise<object> => {
    const found = await state.inspect(upstream.name)
    return found === undefined ? unavailable(upstream) : view(upstream, found)
  }

  const steer = async (upstream: Upstream, change: z.output<Change>, x: Exchange): Promise<object> => {
    const world = await state.inspectGlobal(upstream.name)
    if (world === undefined) return unavailable(upstream)
    const ordered = order(change, upstream, world)
    if (typeof ordered === 'string') return problem('admin-invalid', { detail: ordered })
    const after = await state.order(upstream.name, ordered)
    const { value: before, ...what } = about(change, world)
    const now = after === undefined ? 'unknown' : about(change, after).value
    await audit(x, { resource: name, upstream: upstream.name, ...what, before, after: now })
    return after === undefined ? unavailable(upstream, '; the change may have been made all the same') : see(upstream)
  }

  const list = (): Promise<object[]> =>
    Promise.all(
      upstreams.map(async (upstream) => {
        const found = await see(upstream)
        // One that does not answer hides no other.
        return found instanceof Response ? { upstream: upstream.name, unavailable: true } : found
      }),
    )

  const seeNamed: AdminHandler = async ({ name: asked }) => {
    const upstream = find(asked, kind)
    return upstream instanceof Response ? upstream : see(upstream)
  }

  const steerNamed: AdminHandler = async ({ name: asked, x }) => {
    const upstream = find(asked, kind)
    if (upstream instanceof Response) return upstream
    const read = await readChange(x, kind.change)
    return read instanceof Response ? read : steer(upstream, read.change, x)
  }

  return [
    { path: name, handlers: { GET: async () => ({ [name]: await list() }) } },
    { path: `${name}/{upstream}`, handlers: { GET: seeNamed, PUT: steerNamed } },
  ]
}

function find(asked: string, { owner, upstreams }: Owners): Upstream | Response {
  const names = upstreams.map(({ name }) => name)
  const detail = `no ${owner} is called "${asked}"; ${expectedOneOf(asked, names)}`
  return upstreams[names.indexOf(asked)] ?? problem('admin-not-found', { detail })
}

function unavailable({ name }: Upstream, besides = ''): Response {
  const detail = `the object of "${name}" did not answer${besides}`
  return problem('state-unavailable', { detail, headers: { 'retry-after': '1' } })
}

/** An object's time to answer, in milliseconds; more than the world's object gives those of the regions. */
const TIMEOUT_MS = 1_000

/** What the objects of one upstream say; a region whose own object does not answer has no `breaker`. */
export interface UpstreamState {
  readonly global: GlobalStateView
  readonly regions: readonly (GlobalStateView['regions'][number] & { readonly breaker: BreakerView | undefined })[]
}

/** The objects that keep what isolates share. Undefined when one does not answer in time. */
export interface UpstreamStateClient {
  readonly inspect: (upstream: string) => Promise<UpstreamState | undefined>
  readonly inspectGlobal: (upstream: string) => Promise<GlobalStateView | undefined>
  readonly order: (upstream: string, order: OperatorOrder) => Promise<GlobalStateView | undefined>
}

/** Gives each object a second. Never rejects; `look` asks the world before the regions, which it asks all at once: two seconds at most. */
export function makeUpstreamStateClient({
  globalUpstreams,
  breakers,
}: Pick<Platform, 'globalUpstreams' | 'breakers'>): UpstreamStateClient {
  const world = (upstream: string) => callObject(globalUpstreams, upstream, TIMEOUT_MS, (object) => object.inspect())
  const breaker = (upstream: string, region: Region) => {
    const name = breakerName(region, upstream)
    return callObject(breakers, name, TIMEOUT_MS, (object) => object.inspect(), locationOf(region))
  }
  return {
    inspectGlobal: world,
    inspect: async (upstream) => {
      const found = await world(upstream)
      if (found === undefined) return undefined
      const regions = found.regions.map(async (one) => ({ ...one, breaker: await breaker(upstream, one.region) }))
      return { global: found, regions: await Promise.all(regions) }
    },
    order: (upstream, order) => callObject(globalUpstreams, upstream, TIMEOUT_MS, (object) => object.order(order)),
  }
}
