import { NO_REQUEST_DIRECTIVES, requestDirectives, responseDirectives } from '../../src/cache/http/directives.ts'
import type { StoredHead } from '../../src/cache/http/entry.ts'
import { freshnessOf, type RouteLife } from '../../src/cache/http/freshness.ts'
import { judgeReuse, type ReuseVerdict } from '../../src/cache/http/reuse.ts'
import { storedHeaders, whyNotStored, type NotStored } from '../../src/cache/http/storable.ts'

/** When stored answers came, and when their Date says they were made. */
export const CAME = Date.UTC(2026, 0, 15, 12)
export const httpDate = (time: number): string => new Date(time).toUTCString()

export const SILENT: RouteLife = { override: false }

/** A stored answer that came at `CAME` in no time; `delay` milliseconds otherwise. */
export function stored(headers: Record<string, string>, status = 200, delay = 0): StoredHead {
  return {
    v: 1,
    status,
    headers: storedHeaders(new Headers(headers), CAME),
    requestTime: CAME - delay,
    responseTime: CAME,
    url: 'https://gw.test/a',
    tags: [],
    keepUntil: CAME,
  }
}

/** The lifetime in seconds that an answer with these fields has. */
export const lifetime = (headers: Record<string, string>, route = SILENT, status = 200): number =>
  freshnessOf(stored(headers, status), route).lifetime

/** What a request may have of an answer that came `after` seconds ago. */
export function verdict(
  headers: Record<string, string>,
  after: number,
  request: Record<string, string> = {},
  route = SILENT,
): ReuseVerdict {
  const said = Object.keys(request).length === 0 ? NO_REQUEST_DIRECTIVES : requestDirectives(new Headers(request))
  return judgeReuse(stored(headers), said, CAME + after * 1000, route)
}

/** Why an answer to an anonymous GET is not stored. */
export function refusal(
  headers: Record<string, string>,
  {
    status = 200,
    method = 'GET',
    request = {},
    authenticated = false,
    identityInKey = false,
  }: {
    status?: number
    method?: string
    request?: Record<string, string>
    authenticated?: boolean
    identityInKey?: boolean
  } = {},
): NotStored | undefined {
  const asked = { method, headers: new Headers(request), authenticated, identityInKey }
  return whyNotStored(asked, { status, headers: new Headers(headers) })
}

export const said = (cacheControl: string) => responseDirectives(new Headers({ 'cache-control': cacheControl }))
