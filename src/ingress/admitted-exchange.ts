import type { Client, Exchange, HeaderEdit, Identity, Outgoing } from '../core/exchange.ts'
import type { ProblemCode } from '../core/problem.ts'
import { rawSearch } from '../lib/canonical-path.ts'
import type { ActiveTrace } from '../telemetry/active-trace.ts'
import type { MatchedRoute } from './admit.ts'
import type { ReceivedRequest } from './headers.ts'

/** The parts of a request that do not depend on its route. */
export interface IncomingRequest {
  /** The trace id. */
  readonly id: string
  readonly received: ReceivedRequest
  readonly client: Client
  /** Epoch milliseconds. */
  readonly startedAt: number
  readonly trace: ActiveTrace | undefined
  readonly waitUntil: Exchange['waitUntil']
}

/** The exchange of a request whose route is known. It is a class because of its getter: an object literal would define the getter for each request. */
export class AdmittedExchange implements Exchange {
  readonly id: string
  readonly request: Request
  readonly headers: Readonly<Record<string, string>>
  readonly route: string
  readonly path: string
  readonly params: Readonly<Record<string, string>>
  readonly client: Client
  readonly outgoing: Outgoing
  readonly startedAt: number
  deadline = Infinity
  readonly waitUntil: Exchange['waitUntil']
  identity: Identity | undefined = undefined
  readonly edits: HeaderEdit[] = []
  attempts = 0
  target: string | undefined = undefined
  uploadProblem: ProblemCode | undefined = undefined
  readonly trace: ActiveTrace | undefined

  constructor(
    { id, received, client, startedAt, trace, waitUntil }: IncomingRequest,
    { path, params }: MatchedRoute,
    route: string,
  ) {
    const { request, method, url, headers } = received
    this.id = id
    this.request = request
    this.headers = headers.all
    this.route = route
    this.path = path
    this.params = params
    this.client = client
    this.outgoing = { method, path, search: rawSearch(url), ...headers.forwarded, body: request.body }
    this.startedAt = startedAt
    this.waitUntil = waitUntil
    this.trace = trace
  }

  /** Read at the first access, which most requests never make: the runtime watches a signal once it was read. */
  get signal(): AbortSignal {
    return this.request.signal
  }
}
