import type { Exchange } from '../../core/exchange.ts'

/** One request to an admin endpoint. */
export interface Ask {
  readonly x: Exchange
  /** What stands in the path where the endpoint's pattern has `{…}`, decoded; `''` for a pattern without. */
  readonly name: string
  readonly query: URLSearchParams
}

/** The answer as an object, which becomes a 200, or as a Response: a refusal, or another status than 200. */
export type Answer = (ask: Ask) => Promise<object>

/** The methods that an endpoint may take; GET answers HEAD too. */
export type EndpointMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** One path of the admin route, relative to the route's own. */
export interface Endpoint {
  /** Such as `users` or `users/{username}`. */
  readonly path: string
  readonly on: Readonly<Partial<Record<EndpointMethod, Answer>>>
}

/** An answer in JSON that no cache keeps. */
export function answerJson(body: object, status = 200): Response {
  return Response.json(body, { status, headers: { 'cache-control': 'no-store' } })
}
