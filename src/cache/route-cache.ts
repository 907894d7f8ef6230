import type { Exchange } from '../core/exchange.ts'
import { perPlatformAndName, type Platform } from '../core/platform.ts'
import type { RouteParts } from '../core/policy.ts'
import { compileTemplate } from '../core/template.ts'
import { makeCollapse, type Collapse } from './collapse/collapse.ts'
import type { CacheConfig } from './config.ts'
import type { RouteLife } from './http/freshness.ts'
import { compileCacheKey, type CacheKey } from './key.ts'
import { compileNormalizeRequest, type NormalizedRequest } from './normalize-request.ts'
import { platformPurges, type Purges } from './purge/purge-feed.ts'
import { makeTiers, type Tiers } from './store/tiers.ts'

/** The longest time that a request waits for the fetch of another request, in milliseconds. */
const LONGEST_WAIT_MS = 5_000

/** The compiled cache of one route. */
export interface RouteCache {
  readonly keyOf: (x: Exchange) => CacheKey | undefined
  readonly normalizeRequest: (x: Exchange, varies: readonly string[]) => NormalizedRequest
  readonly tagsOf: (x: Exchange) => readonly string[]
  readonly life: RouteLife
  /** Whether the gateway authenticates the caller, and whether the identity is in the key. */
  readonly authenticated: boolean
  readonly identityInKey: boolean
  readonly tiers: Tiers
  readonly purges: Purges
  readonly collapse: Collapse
  readonly collapses: boolean
  /** How long a request may wait for the fetch of another request, in milliseconds. The rest of its timeout is left for a fetch of its own. */
  readonly waitMs: number
  readonly counters: CacheCounters
  readonly now: () => number
}

/** Compiles a route's `cache`. */
export function compileRouteCache(config: CacheConfig, platform: Platform, route: RouteParts): RouteCache {
  const { identity } = config.key
  return {
    keyOf: compileCacheKey(config.key, route.id),
    normalizeRequest: compileNormalizeRequest(config, route),
    tagsOf: compileTags(config.tags),
    life: {
      override: config.override,
      ttl: seconds(config.ttl),
      staleWhileRevalidate: seconds(config.staleWhileRevalidate),
      staleIfError: seconds(config.staleIfError),
    },
    authenticated: route.hasAuth,
    identityInKey: identity === 'sub' || identity === 'tenant',
    tiers: makeTiers(platform),
    purges: platformPurges(platform),
    collapse: makeCollapse(platform),
    collapses: config.collapse,
    waitMs: Math.min(LONGEST_WAIT_MS, (route.timeout ?? Infinity) / 2),
    counters: cacheCounters(platform, route.id),
    now: platform.now,
  }
}

const seconds = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1_000)

function compileTags(tags: readonly string[]): (x: Exchange) => readonly string[] {
  const templates = tags.map((tag) => compileTemplate(tag))
  return (x) => templates.map(({ render }) => render(x)).filter((tag) => tag !== undefined)
}

/** Counts of requests to one cached route, in this isolate since its start, for metrics. */
export interface CacheCounters {
  /** Served from the store without a request to the origin. */
  hits: number
  /** Of those, served with a stale response. */
  staleHits: number
  /** Served from the store because the origin failed. */
  errorHits: number
  /** Served from the store after the origin confirmed the stored response with a 304. */
  confirmed: number
  /** Sent to the origin because no usable response was stored, or it had to be validated. */
  misses: number
  /** Of those, served with the response that another request fetched. */
  collapsed: number
  /** Responses that were stored, or whose storing began. */
  stored: number
  /** Forwarded without a lookup: unsafe methods, preconditions, callers without a tenant. */
  bypassed: number
  /** Body bytes that the origin did not have to send, by Content-Length. */
  bytesSaved: number
  /** Milliseconds that the origin took to send the responses that hits were served with. */
  originMsSaved: number
}

/** The counters of a cached route, by its id. */
export const cacheCounters = perPlatformAndName<object, CacheCounters>(() => ({
  hits: 0,
  staleHits: 0,
  errorHits: 0,
  confirmed: 0,
  misses: 0,
  collapsed: 0,
  stored: 0,
  bypassed: 0,
  bytesSaved: 0,
  originMsSaved: 0,
}))
