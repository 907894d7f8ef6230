import type { Exchange } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import { discardBody } from '../lib/body.ts'
import { varyNames, type StoredHead } from './http/entry.ts'
import { conditionsOf, freshen } from './http/validation.ts'
import { restore, type NormalizedRequest } from './normalize-request.ts'

/** An answer of the origin, or the gateway's own in place of one; epoch milliseconds. */
export interface OriginResponse {
  readonly kind: 'answered'
  readonly response: Response
  readonly requestTime: number
  readonly responseTime: number
}

/** What came of asking the origin. `confirmed`: what is stored is still good, with `head` in place of its own. */
export type OriginFetch = OriginResponse | { readonly kind: 'confirmed'; readonly head: StoredHead }

/**
 * Asks the origin with a request that has been narrowed, on condition that its answer is another than `stored`. Asks again when a 304 is
 * of an answer that is not stored, or when the answer depends on fields that the origin has not been told.
 */
export async function fetchFromOrigin(
  x: Exchange,
  next: Handler,
  narrowed: NormalizedRequest,
  now: () => number,
  stored?: StoredHead,
): Promise<OriginFetch> {
  const conditions = stored && conditionsOf(stored)
  let asked = await send(x, next, now, conditions)
  if (stored !== undefined && conditions !== undefined && asked.response.status === 304) {
    const head = freshen(stored, asked.response.headers, asked.requestTime, asked.responseTime)
    if (head !== undefined) return { kind: 'confirmed', head }
    asked = await send(x, next, now)
  }
  const names = asked.response.status < 500 ? varyNames(asked.response.headers) : []
  if (names === '*' || !restore(x, narrowed, names)) return asked
  discardBody(asked.response)
  return send(x, next, now)
}

async function send(
  x: Exchange,
  next: Handler,
  now: () => number,
  conditions: Readonly<Record<string, string>> = {},
): Promise<OriginResponse> {
  const { headers } = x.outgoing
  delete headers['if-none-match']
  delete headers['if-modified-since']
  Object.assign(headers, conditions)
  const requestTime = now()
  const answer = await next(x)
  return { kind: 'answered', response: answer, requestTime, responseTime: now() }
}
