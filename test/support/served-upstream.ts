import { join } from 'node:path'
import type { TargetView } from '../../src/upstream/target.ts'
import { runWorker, type RunningWorker } from './run-worker.ts'

export interface ServedUpstream extends RunningWorker {
  readonly state: () => Promise<UpstreamState>
  /** Carries out an operator's order and resolves with the global state. */
  readonly steer: (order: object) => Promise<object>
  readonly crash: () => Promise<ServedUpstream>
}

export interface UpstreamState {
  /** Tries, and requests, that wait for response headers. */
  readonly inFlight: number
  readonly waiting: number
  readonly condition: string
  readonly store: string
  readonly targets: readonly TargetView[]
  /** Calls so far: to origins, and to Durable Objects. */
  readonly fetch: number
  readonly object: number
}

/** Runs the upstream stages alone, with `upstream` as it would stand in routes.json. */
export async function serveUpstream(upstream: object): Promise<ServedUpstream> {
  const worker = await runWorker(join(import.meta.dirname, 'upstream-worker.ts'), {
    variables: { UPSTREAM: JSON.stringify(upstream) },
    durableObjects: [
      { binding: 'BREAKERS', className: 'CircuitBreaker' },
      { binding: 'GLOBAL_UPSTREAMS', className: 'GlobalUpstreamState' },
    ],
  })
  return withState(worker)
}

const withState = (worker: RunningWorker): ServedUpstream => ({
  ...worker,
  state: async () => (await (await fetch(`${worker.url}/-/state`)).json()) as UpstreamState,
  steer: async (order) => {
    const response = await fetch(`${worker.url}/-/steer`, { method: 'POST', body: JSON.stringify(order) })
    return (await response.json()) as object
  },
  crash: async () => withState(await worker.crash()),
})
