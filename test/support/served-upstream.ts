import { join } from 'node:path'
import { runWorker, type RunningWorker } from './run-worker.ts'

export interface ServedUpstream extends RunningWorker {
  readonly state: () => Promise<UpstreamState>
  readonly crash: () => Promise<ServedUpstream>
}

export interface UpstreamState {
  readonly inFlight: number
  readonly condition: string
  readonly store: string
  /** Calls so far: to origins, and to Durable Objects. */
  readonly fetch: number
  readonly object: number
}

/** Runs the upstream stages alone, with `upstream` as it would stand in routes.json. */
export async function serveUpstream(upstream: object): Promise<ServedUpstream> {
  const worker = await runWorker(join(import.meta.dirname, 'upstream-worker.ts'), {
    variables: { UPSTREAM: JSON.stringify(upstream) },
    durableObjects: [{ binding: 'BREAKERS', className: 'CircuitBreaker' }],
  })
  return withState(worker)
}

const withState = (worker: RunningWorker): ServedUpstream => ({
  ...worker,
  state: async () => (await (await fetch(`${worker.url}/-/state`)).json()) as UpstreamState,
  crash: async () => withState(await worker.crash()),
})
