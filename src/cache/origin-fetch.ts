import type { Exchange } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import { discardBody } from '../lib/body.ts'
import { varyNames, type StoredHead } from './http/entry.ts'
import { conditionsOf, freshen } from './http/validation.ts'
import { complete, type OriginResponse } from './partial.ts'
import { restore, type NormalizedRequest } from './normalize-request.ts'
import type { FoundResponse } from './store/tiers.ts'

/** The result of a fetch. `confirmed`: the stored response is still valid, with the updated `head`. */
export type OriginFetch = OriginResponse | { readonly kind: 'confirmed'; readonly head: StoredHead }

/**
 * Sends a normalized request to the origin, with the validators of `stored` as conditions. Sends it again when the 304 is about another
 * response than the stored one, or when the response varies by fields that were stripped. `part`: a fresh part, which is completed.
 */
export async function fetchFromOrigin(
  x: Exchange,
  next: Handler,
  normalized: NormalizedRequest,
  now: () => number,
  stored?: StoredHead,
  part?: FoundResponse,
): Promise<OriginFetch> {
  const conditions = stored && conditionsOf(stored)
  const completed = part && (await complete(part, (fields) => send(x, next, now, fields)))
  if (part !== undefined) delete x.outgoing.headers['range']
  let fetched = completed ?? (await send(x, next, now, conditions))
  if (stored !== undefined && conditions !== undefined && fetched.response.status === 304) {
    const head = freshen(stored, fetched.response.headers, fetched.requestTime, fetched.responseTime)
    if (head !== undefined) return { kind: 'confirmed', head }
    fetched = await send(x, next, now)
  }
  const names = fetched.response.status < 500 ? varyNames(fetched.response.headers) : []
  if (names === '*' || !restore(x, normalized, names)) return fetched
  discardBody(fetched.response)
  return send(x, next, now)
}

const OWN_CONDITIONS = ['if-none-match', 'if-modified-since', 'if-range']

async function send(
  x: Exchange,
  next: Handler,
  now: () => number,
  conditions: Readonly<Record<string, string>> = {},
): Promise<OriginResponse> {
  const { headers } = x.outgoing
  for (const name of OWN_CONDITIONS) delete headers[name]
  Object.assign(headers, conditions)
  const requestTime = now()
  const response = await next(x)
  return { kind: 'answered', response, requestTime, responseTime: now() }
}
