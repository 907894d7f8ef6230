import type { Platform } from '../../src/core/platform.ts'
import { makeTestGateway, type TestGateway } from './gateway-in-workerd.ts'

/** What an origin is asked, as it sees it. */
export interface OriginRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Headers
  /** Counts from 1. */
  readonly nth: number
}

export interface CachedGateway {
  /** The answer of `/…`, its text, and what Cache-Status says, without the cache's name. */
  readonly ask: (path: string, init?: RequestInit) => Promise<{ response: Response; text: string; status: string }>
  /** As `ask`, and waits for what the gateway left to be done behind the answer. */
  readonly get: CachedGateway['ask']
  readonly asked: readonly OriginRequest[]
  readonly settled: () => Promise<void>
  readonly gateway: TestGateway
  /** Moves the clock of the gateway on, in milliseconds. */
  readonly pass: (ms: number) => void
}

export interface CachedSetup {
  readonly policies?: Readonly<Record<string, unknown>>
  readonly authProviders?: Readonly<Record<string, unknown>>
  readonly match?: Readonly<Record<string, unknown>>
  readonly upstream?: Readonly<Record<string, unknown>>
  readonly platform?: Partial<Platform>
}

let worlds = 0

/** The whole gateway with one cached route at `/*`, and an origin in its place; each has a host, so a cache, of its own. */
export function makeCachedGateway(
  cache: Readonly<Record<string, unknown>>,
  origin: (request: OriginRequest) => Response | Promise<Response>,
  { policies = {}, authProviders = {}, match = {}, upstream = {}, platform = {} }: CachedSetup = {},
): CachedGateway {
  const asked: OriginRequest[] = []
  let skew = 0
  const gateway = makeTestGateway(
    {
      authProviders,
      upstreams: { shop: { targets: [{ url: 'http://origin.test' }], ...upstream } },
      routes: [{ id: 'all', match: { path: '/*', ...match }, upstream: 'shop', policies: { cache, ...policies } }],
    },
    {
      variable: (name) => ({ LOG_LEVEL: 'silent' })[name],
      now: () => Date.now() + skew,
      fetch: async (url, { method = 'GET', headers } = {}) => {
        const request = { method, url: new URL(url), headers: new Headers(headers), nth: asked.length + 1 }
        asked.push(request)
        return origin(request)
      },
      ...platform,
    },
  )
  const host = `w${++worlds}-${crypto.randomUUID()}.test`
  const ask = async (path: string, init: RequestInit = {}) => {
    const headers = new Headers(init.headers)
    if (!headers.has('host')) headers.set('host', host)
    const response = await gateway.fetch(`http://${host}${path}`, { ...init, headers })
    const text = await response.text()
    const status = (response.headers.get('cache-status') ?? '').replace(/^.*umbral; /, '')
    return { response, text, status }
  }
  return {
    ask,
    get: async (path, init) => {
      const answer = await ask(path, init)
      await gateway.settled()
      return answer
    },
    asked,
    settled: gateway.settled,
    gateway,
    pass: (ms) => void (skew += ms),
  }
}
