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

/** The longest that a request waits for another one's answer, in milliseconds. */
const LONGEST_WAIT_MS = 5_000

/** All that serving one route from the store needs, compiled. */
export interface RouteCache {
  readonly keyOf: (x: Exchange) => CacheKey | undefined
  readonly narrow: (x: Exchange, varies: readonly string[]) => NormalizedRequest
  readonly tagsOf: (x: Exchange) => readonly string[]
  readonly life: RouteLife
  /** Whether the gateway establishes who calls, and whether that is in the key. */
  readonly authenticated: boolean
  readonly identityInKey: boolean
  readonly tiers: Tiers
  readonly purges: Purges
  readonly collapse: Collapse
  readonly collapses: boolean
  /** How long a request may wait for another one's answer, in milliseconds: enough time is left to ask the origin itself. */
  readonly waitMs: number
  readonly counters: CacheCounters
  readonly now: () => number
}

/** Compiles a route's `cache`. */
export function compileRouteCache(config: CacheConfig, platform: Platform, route: RouteParts): RouteCache {
  const { identity } = config.key
  return {
    keyOf: compileCacheKey(config.key, route.id),
    narrow: compileNormalizeRequest(config, route),
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

/** What became of the requests to one cached route, in this isolate since its start, for metrics. */
export interface CacheCounters {
  /** Answered from the store without asking the origin. */
  hits: number
  /** Of those, by an answer that was stale: it is being refreshed. */
  staleHits: number
  /** Answered from the store because the origin failed. */
  errorHits: number
  /** Answered from the store after the origin had confirmed it with a 304. */
  confirmed: number
  /** Went to the origin since nothing fit was stored, or it had to be asked again. */
  misses: number
  /** Of those, the ones that waited for another request's answer and got it. */
  collapsed: number
  /** Answers that were put into the store, or on their way into it. */
  stored: number
  /** Never looked anything up: unsafe methods, preconditions, callers without a tenant. */
  bypassed: number
  /** What hits would have made the origin send, as far as Content-Length tells. */
  bytesSaved: number
  /** Milliseconds that the origin took when it gave what hits were answered with. */
  originMsSaved: number
}

/** The counters of a cached route, by its id. */
export const cacheCounters = perPlatformAndName((_: object): CacheCounters => ({
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
