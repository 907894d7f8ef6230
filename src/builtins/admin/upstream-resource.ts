import type * as z from 'zod/mini'
import { expectedOneOf } from '../../config/schema/diagnostic.ts'
import { callObject } from '../../core/durable-object.ts'
import type { Exchange } from '../../core/exchange.ts'
import type { Platform } from '../../core/platform.ts'
import { problem } from '../../core/problem.ts'
import { breakerName, locationOf, type Region } from '../../core/region.ts'
import { makeIdentityClient } from '../../identity/client.ts'
import type { BreakerView, GlobalStateView, OperatorOrder } from '../../upstream/circuit-breaker/api.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import { makeAuditRecorder } from './audit.ts'
import { readChange } from './change.ts'
import type { AdminEndpoint, AdminHandler } from './endpoint.ts'

/** The upstreams that have a resource; `owner` describes them in messages. */
interface ResourceOwners {
  readonly owner: string
  readonly upstreams: readonly Upstream[]
}

/** A resource of upstreams, such as breakers or targets: its name in paths, its changes and its view. */
interface UpstreamResource<Change extends z.ZodMiniType> extends ResourceOwners {
  readonly name: string
  readonly change: Change
  /** The order to the global state for a change; a text says why the change is invalid. */
  readonly order: (change: z.output<Change>, upstream: Upstream, globalState: GlobalStateView) => OperatorOrder | string
  /** The part of the global state that a change affects, for the log. */
  readonly affected: (
    change: z.output<Change>,
    globalState: GlobalStateView,
  ) => { readonly target?: string; readonly value: unknown }
  readonly view: (upstream: Upstream, state: UpstreamState) => object
}

/** Makes the endpoints that show and change a resource in the Durable Objects that hold it. Each change is logged, also one with unknown outcome. */
export function makeUpstreamEndpoints<Change extends z.ZodMiniType>(
  resource: UpstreamResource<Change>,
  platform: Platform,
): AdminEndpoint[] {
  const { name, upstreams, order, affected, view } = resource
  const audit = makeAuditRecorder(platform, makeIdentityClient(platform.identityStore))
  const state = makeUpstreamStateClient(platform)

  const show = async (upstream: Upstream): Promise<object> => {
    const found = await state.inspect(upstream.name)
    return found === undefined ? unavailable(upstream) : view(upstream, found)
  }

  const apply = async (upstream: Upstream, change: z.output<Change>, x: Exchange): Promise<object> => {
    const globalState = await state.inspectGlobal(upstream.name)
    if (globalState === undefined) return unavailable(upstream)
    const ordered = order(change, upstream, globalState)
    if (typeof ordered === 'string') return problem('admin-invalid', { detail: ordered })
    const after = await state.order(upstream.name, ordered)
    const { value: before, ...target } = affected(change, globalState)
    const valueAfter = after === undefined ? 'unknown' : affected(change, after).value
    await audit(x, { resource: name, upstream: upstream.name, ...target, before, after: valueAfter })
    return after === undefined ? unavailable(upstream, '; the change may have been made all the same') : show(upstream)
  }

  const showNamed: AdminHandler = async ({ name: upstreamName }) => {
    const upstream = findUpstream(upstreamName, resource)
    return upstream instanceof Response ? upstream : show(upstream)
  }

  const changeNamed: AdminHandler = async ({ name: upstreamName, x }) => {
    const upstream = findUpstream(upstreamName, resource)
    if (upstream instanceof Response) return upstream
    const read = await readChange(x, resource.change)
    return read instanceof Response ? read : apply(upstream, read.value, x)
  }

  return [
    { path: name, handlers: { GET: async () => ({ [name]: await showAll(upstreams, show) }) } },
    { path: `${name}/{upstream}`, handlers: { GET: showNamed, PUT: changeNamed } },
  ]
}

/** All views. An upstream whose object does not respond does not hide the others. */
function showAll(upstreams: readonly Upstream[], show: (upstream: Upstream) => Promise<object>): Promise<object[]> {
  return Promise.all(
    upstreams.map(async (upstream) => {
      const found = await show(upstream)
      return found instanceof Response ? { upstream: upstream.name, unavailable: true } : found
    }),
  )
}

function findUpstream(upstreamName: string, { owner, upstreams }: ResourceOwners): Upstream | Response {
  const names = upstreams.map(({ name }) => name)
  const detail = `no ${owner} is called "${upstreamName}"; ${expectedOneOf(upstreamName, names)}`
  return upstreams[names.indexOf(upstreamName)] ?? problem('admin-not-found', { detail })
}

function unavailable({ name }: Upstream, suffix = ''): Response {
  const detail = `the object of "${name}" did not respond${suffix}`
  return problem('state-unavailable', { detail, headers: { 'retry-after': '1' } })
}

/** The timeout of one call, in milliseconds; longer than the timeout of the global state's updates to the regions. */
const TIMEOUT_MS = 1_000

/** The state of one upstream in its objects; `breaker` is undefined for a region whose object does not respond. */
export interface UpstreamState {
  readonly globalState: GlobalStateView
  readonly regions: readonly (GlobalStateView['regions'][number] & { readonly breaker: BreakerView | undefined })[]
}

/** Reads and changes the state of upstreams in their objects. Each call resolves to undefined when the global state does not respond in time. */
interface UpstreamStateClient {
  readonly inspect: (upstream: string) => Promise<UpstreamState | undefined>
  readonly inspectGlobal: (upstream: string) => Promise<GlobalStateView | undefined>
  readonly order: (upstream: string, order: OperatorOrder) => Promise<GlobalStateView | undefined>
}

/** Makes the client. Never rejects. Each call of an object takes a second at most; `inspect` calls the global state, then all regions in parallel. */
function makeUpstreamStateClient({
  globalUpstreams,
  breakers,
}: Pick<Platform, 'globalUpstreams' | 'breakers'>): UpstreamStateClient {
  const globalState = (upstream: string) =>
    callObject(globalUpstreams, upstream, TIMEOUT_MS, (object) => object.inspect())
  const breaker = (upstream: string, region: Region) => {
    const name = breakerName(region, upstream)
    return callObject(breakers, name, TIMEOUT_MS, (object) => object.inspect(), locationOf(region))
  }
  return {
    inspectGlobal: globalState,
    inspect: async (upstream) => {
      const found = await globalState(upstream)
      if (found === undefined) return undefined
      const regions = found.regions.map(async (one) => ({ ...one, breaker: await breaker(upstream, one.region) }))
      return { globalState: found, regions: await Promise.all(regions) }
    },
    order: (upstream, order) => callObject(globalUpstreams, upstream, TIMEOUT_MS, (object) => object.order(order)),
  }
}
