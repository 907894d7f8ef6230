import * as z from 'zod/mini'
import { expected } from '../../config/schema/scalars.ts'
import type { Exchange } from '../../core/exchange.ts'
import { problem } from '../../core/problem.ts'
import type { Actor, Page, StoreRefusal } from '../../identity/types.ts'
import { parseInput } from './change.ts'

/** A request to an admin endpoint. */
interface AdminRequest {
  readonly x: Exchange
  /** The decoded value of the `{…}` parameter of the endpoint's path; `''` for a path without one. */
  readonly name: string
  readonly query: URLSearchParams
}

/** Handles a request. Resolves to the body of a 200 response, or to a Response for a problem or another status. */
export type AdminHandler = (request: AdminRequest) => Promise<object>

/** The methods that an endpoint may have; GET includes HEAD. */
type EndpointMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** One path of the admin route, relative to the route's own. */
export interface AdminEndpoint {
  /** For example `users` or `users/{username}`. */
  readonly path: string
  readonly handlers: Readonly<Partial<Record<EndpointMethod, AdminHandler>>>
}

/** A JSON response that must not be cached. */
export function jsonResponse(body: object, status = 200): Response {
  return Response.json(body, { status, headers: { 'cache-control': 'no-store' } })
}

/** The author of a change. `provider`, `issuer` and `subject` are `''` on a route without `auth`. */
export function actorOf({ identity, client, id }: Exchange): Actor {
  const { provider = '', issuer = '', subject = '' } = identity ?? {}
  return { provider, issuer, subject, client: client.ip, request: id }
}

type Failure = StoreRefusal | 'unavailable'

/** The result of an identity store call, or a problem response for its failure. `what` names the row, for example `user "ada"`. */
export function resultOrProblem<T>(result: T, what: string): Exclude<T, Failure> | Response {
  if (typeof result !== 'string') return result as Exclude<T, Failure>
  if (result === 'exists') return problem('admin-exists', { detail: `there is a ${what} already` })
  if (result === 'unknown') return problem('admin-not-found', { detail: `there is no ${what}` })
  if (result === 'full') return problem('admin-full', { detail: `no room for ${what}` })
  if (result === 'unavailable') return unavailable()
  if (result.startsWith('invalid: ')) return problem('admin-invalid', { detail: result.slice('invalid: '.length) })
  return result as Exclude<T, Failure>
}

function unavailable(): Response {
  const detail = 'the identity store did not respond; a change may have been made all the same'
  return problem('state-unavailable', { detail, headers: { 'retry-after': '1' } })
}

const LIMIT_EXPECTED = 'expected a number from 1 to 200'

/** The query parameters of every list. */
export const pageQuery = z.strictObject({
  after: z.exactOptional(z.string().check(z.minLength(1), z.maxLength(512))),
  limit: z.exactOptional(
    z.pipe(
      z.string().check(z.regex(/^(?:[1-9]\d?|1\d\d|200)$/, expected(LIMIT_EXPECTED))),
      z.transform((text: string) => Number(text)),
    ),
  ),
})

/**
 * Makes the handler of a list. The response has the rows under `name`, each as `view` shows it, and in `next` the `after` of the next page; null on
 * the last. An invalid query is a 400 that names the parameter; the last value of a repeated parameter counts.
 */
export function makeListHandler<Query extends z.ZodMiniType, Row>(
  name: string,
  querySchema: Query,
  list: (request: z.output<Query>) => Promise<Page<Row> | Failure>,
  view: (row: Row) => object,
): AdminHandler {
  return async ({ query }) => {
    const parsed = parseInput(Object.fromEntries(query), querySchema)
    if (parsed instanceof Response) return parsed
    const page = resultOrProblem(await list(parsed.value), name)
    return page instanceof Response ? page : { [name]: page.items.map(view), next: page.next ?? null }
  }
}
