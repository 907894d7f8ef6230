import type { RequestDirectives } from './directives.ts'
import { fieldsOf, type Fields } from './entry.ts'
import { exactAge, freshnessOf, type Datable, type FreshnessLifetime, type RouteLife } from './freshness.ts'

/** How a stored response that matches a request may be used (RFC 9111 §4). */
export interface ReuseVerdict {
  /** Serve it; serve it and revalidate in the background; or validate it first. */
  readonly use: 'serve' | 'serve-and-refresh' | 'validate'
  /** Why the request is forwarded, as a value of RFC 9211 §2.2; undefined with `serve`. */
  readonly fwd: 'stale' | 'request' | undefined
  /** Whole seconds: the value of `Age`. */
  readonly age: number
  /** Seconds of freshness left, rounded down; negative when it is stale. */
  readonly ttl: number
  /** Whether it may be served when the origin fails or cannot be reached (RFC 5861 §4). */
  readonly onError: boolean
}

/**
 * How `request` may use a stored response at `now`. `staleSince`, epoch milliseconds, is when a soft purge made it stale; its
 * stale times run from then. The caller has matched the method, the key and what Vary names.
 */
export function judgeReuse(
  head: Datable,
  request: RequestDirectives,
  now: number,
  route: RouteLife,
  staleSince = Infinity,
): ReuseVerdict {
  const fields = fieldsOf(head.headers)
  const life = lifetimeOf(head, route, fields)
  const age = exactAge(head, now, fields)
  const lifetime = staleSince > now ? life.lifetime : Math.min(life.lifetime, exactAge(head, staleSince, fields))
  const left = lifetime - age
  const use = useOf(life, request, age, left)
  const staleIfError = life.forbidsStale ? life.staleIfError : Math.max(life.staleIfError, request.staleIfError ?? 0)
  return {
    use,
    fwd: use === 'serve' ? undefined : left > 0 && !life.noCache ? 'request' : 'stale',
    age: Math.floor(age),
    ttl: Math.floor(left),
    onError: !life.noCache && left > -staleIfError,
  }
}

const lifetimes = new WeakMap<Datable, { readonly route: RouteLife; readonly life: FreshnessLifetime }>()

/** Computed once for a stored response in memory. */
function lifetimeOf(head: Datable, route: RouteLife, fields: Fields): FreshnessLifetime {
  const known = lifetimes.get(head)
  if (known?.route === route) return known.life
  const life = freshnessOf(head, route, fields)
  lifetimes.set(head, { route, life })
  return life
}

function useOf(life: FreshnessLifetime, request: RequestDirectives, age: number, left: number): ReuseVerdict['use'] {
  if (life.noCache || request.noCache) return 'validate'
  if (request.maxAge !== undefined && age > request.maxAge) return 'validate'
  if (request.minFresh !== undefined && left < request.minFresh) return 'validate'
  if (left > 0) return 'serve'
  if (!life.forbidsStale && left > -(request.maxStale ?? 0)) return 'serve'
  return left > -life.staleWhileRevalidate ? 'serve-and-refresh' : 'validate'
}
