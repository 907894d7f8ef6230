import type { Exchange } from '../../core/exchange.ts'
import type { Actor, StoreRefusal, Page } from '../../identity/types.ts'
import { problem } from '../../core/problem.ts'
import * as z from 'zod/mini'
import { expected } from '../../config/schema/scalars.ts'
import { parseInput } from './change.ts'

/** One request to an admin endpoint. */
export interface AdminRequest {
  readonly x: Exchange
  /** What stands in the path where the endpoint's pattern has `{…}`, decoded; `''` for a pattern without. */
  readonly name: string
  readonly query: URLSearchParams
}

/** The answer as an object, which becomes a 200, or as a Response: a refusal, or another status than 200. */
export type AdminHandler = (ask: AdminRequest) => Promise<object>

/** The methods that an endpoint may take; GET answers HEAD too. */
export type EndpointMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** One path of the admin route, relative to the route's own. */
export interface AdminEndpoint {
  /** Such as `users` or `users/{username}`. */
  readonly path: string
  readonly handlers: Readonly<Partial<Record<EndpointMethod, AdminHandler>>>
}

/** An answer in JSON that no cache keeps. */
export function jsonResponse(body: object, status = 200): Response {
  return Response.json(body, { status, headers: { 'cache-control': 'no-store' } })
}

/** Who makes a change; provider, issuer and subject are `''` behind a route that asks only for an address. */
export function actorOf({ identity, client, id }: Exchange): Actor {
  const { provider = '', issuer = '', subject = '' } = identity ?? {}
  return { provider, issuer, subject, client: client.ip, request: id }
}

type Refused = StoreRefusal | 'unavailable'

/** What the identity store has answered, or its refusal as a problem; `what` is spoken of, such as `user "ada"`. */
export function resultOrProblem<T>(found: T, what: string): Exclude<T, Refused> | Response {
  if (typeof found !== 'string') return found as Exclude<T, Refused>
  if (found === 'exists') return problem('admin-exists', { detail: `there is a ${what} already` })
  if (found === 'unknown') return problem('admin-not-found', { detail: `there is no ${what}` })
  if (found === 'full') return problem('admin-full', { detail: `no room for ${what}` })
  if (found === 'unavailable') return unavailable()
  if (found.startsWith('invalid: ')) return problem('admin-invalid', { detail: found.slice('invalid: '.length) })
  return found as Exclude<T, Refused>
}

function unavailable(): Response {
  const detail = 'the identity store did not answer; a change may have been made all the same'
  return problem('state-unavailable', { detail, headers: { 'retry-after': '1' } })
}

const LIMIT_EXPECTED = 'expected a number from 1 to 200'

/** The query of every list. */
export const pageQuery = z.strictObject({
  after: z.exactOptional(z.string().check(z.minLength(1), z.maxLength(512))),
  limit: z.exactOptional(
    z.pipe(
      z.string().check(z.regex(/^(?:[1-9]\d?|1\d\d|200)$/, expected(LIMIT_EXPECTED))),
      z.transform((text: string) => Number(text)),
    ),
  ),
})

/** What a list's query asks for, or the refusal: 400 with the field and what was expected. Of a field given twice the last counts. */
export function readQuery<Schema extends z.ZodMiniType>(
  query: URLSearchParams,
  schema: Schema,
): z.output<Schema> | Response {
  const read = parseInput(Object.fromEntries(query), schema)
  return read instanceof Response ? read : read.change
}

/** A page as it is answered: `next` is the `after` of the next page, null on the last. */
export function pageBody<T>(name: string, { items, next }: Page<T>, view: (item: T) => object): object {
  return { [name]: items.map(view), next: next ?? null }
}
