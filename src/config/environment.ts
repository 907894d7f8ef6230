import type { AuthProviderConfig } from '../auth/config/auth-provider.ts'
import { declaredFacts, factsOf } from './route-facts.ts'
import type { Config } from './routes-file.ts'
import type { Diagnostic } from './schema/diagnostic.ts'
import { isBaseUrl, isDocumentUrl, type UrlOrEnv } from './schema/scalars.ts'

/** Variables that are set but hold no URL, or one that `transport` does not allow. One that is not known yet is judged when the Worker starts. */
export function environmentDiagnostics(config: Config, variable: (name: string) => string | undefined): Diagnostic[] {
  const report = (
    path: Diagnostic['path'],
    url: UrlOrEnv | undefined,
    isUrl: (text: string) => boolean,
    expected: string,
  ) => {
    const value = typeof url === 'object' ? variable(url.$env) : undefined
    if (typeof url !== 'object' || value === undefined || isUrl(value)) return []
    return [{ path, message: `the variable ${url.$env} does not hold an absolute http(s) URL without ${expected}` }]
  }
  return [
    ...Object.entries(config.authProviders).flatMap(([name, provider]) =>
      urlsOf(provider).flatMap(([key, url]) =>
        report(['authProviders', name, key], url, isDocumentUrl, 'credentials or fragment'),
      ),
    ),
    ...Object.entries(config.upstreams).flatMap(([name, { targets }]) =>
      targets.flatMap(({ url }, i) =>
        report(['upstreams', name, 'targets', i, 'url'], url, isBaseUrl, 'credentials, query or fragment'),
      ),
    ),
    ...insecureUrls(config, variable),
  ]
}

/** Targets whose variable is not set, all at once: without it the Worker does not start. */
export function unsetTargets(config: Config, variable: (name: string) => string | undefined): Diagnostic[] {
  return Object.entries(config.upstreams).flatMap(([name, { targets }]) =>
    targets.flatMap(({ url }, i) =>
      typeof url === 'string' || variable(url.$env)
        ? []
        : [{ path: ['upstreams', name, 'targets', i, 'url'], message: `the variable ${url.$env} is not set` }],
    ),
  )
}

/** `JWT_SECRET is not set: routes a, b answer 503`: a line for each variable that an auth provider, or an upstream that signs, needs and that is not set. */
export function unsetKeys(config: Config, variable: (name: string) => string | undefined): string[] {
  const unset = new Map<string, string>()
  for (const [name, provider] of Object.entries(config.authProviders)) {
    const lacking = variablesOf(provider).find((needed) => !variable(needed))
    if (lacking !== undefined) unset.set(name, lacking)
  }
  const ofProviders = [...new Set(unset.values())].flatMap((name) => {
    const routes = config.routes.flatMap((route) => {
      const { id } = route
      const { providers = [], requiresAll = false } = factsOf(declaredFacts(route), 'authentication')[0] ?? {}
      const lacking = providers.filter((provider) => unset.get(provider) === name)
      if (lacking.length === 0) return []
      const isShut = requiresAll || providers.every((provider) => unset.has(provider))
      return [isShut ? id : `${id} (to tokens of ${lacking.join(', ')})`]
    })
    if (routes.length === 0) return []
    const [one] = routes
    return [
      `${name} is not set: ${routes.length === 1 ? `route ${one} answers` : `routes ${routes.join(', ')} answer`} 503`,
    ]
  })
  return [...ofProviders, ...unsetSigners(config, variable)]
}

function urlsOf(provider: AuthProviderConfig): [key: string, url: UrlOrEnv | undefined][] {
  if (provider.type === 'introspection') return [['url', provider.url]]
  return provider.type === 'jwt' ? [['jwksUri', provider.jwksUri]] : []
}

/** A line for each variable that an upstream's requests are signed with and that is not set. */
function unsetSigners(config: Config, variable: (name: string) => string | undefined): string[] {
  return Object.entries(config.upstreams).flatMap(([name, { sign }]) => {
    const needed = (sign?.secret ?? sign?.key)?.$secret
    if (needed === undefined || variable(needed)) return []
    return [`${needed} is not set: nothing is sent to the upstream ${name}, whose routes answer 503`]
  })
}

/** The variables without which a provider takes nobody. A provider of signatures can do without some of its keys. */
function variablesOf(provider: AuthProviderConfig): string[] {
  if (provider.type === 'httpSignature') {
    const [key, ...others] = provider.keys
    return key !== undefined && 'secret' in key && others.length === 0 ? [key.secret.$secret] : []
  }
  const urls = urlsOf(provider).flatMap(([, url]) => (typeof url === 'object' ? url.$env : []))
  if (provider.type === 'introspection') return [...urls, provider.clientSecret.$secret]
  return provider.type === 'jwt' && provider.secret ? [...urls, provider.secret.$secret] : urls
}

type Found = readonly [path: Diagnostic['path'], url: UrlOrEnv, escape: string]

/** Where secrets and requests would travel in the clear although `transport.targets` is https; variables that are not known yet are not judged. */
export function insecureUrls(config: Config, variable: (name: string) => string | undefined): Diagnostic[] {
  if (config.transport.targets === 'any') return []
  return [...targetUrls(config), ...providerUrls(config)].flatMap(([path, url, escape]) => {
    const value = typeof url === 'string' ? url : variable(url.$env)
    if (value === undefined || !isPlain(value)) return []
    const where = typeof url === 'string' ? '' : `the variable ${url.$env} holds http; `
    return [{ path, message: `${where}expected https, because transport.targets is "https"${escape}` }]
  })
}

function targetUrls({ upstreams }: Config): Found[] {
  return Object.entries(upstreams).flatMap(([name, { targets }]) =>
    targets.flatMap(({ url, insecure }, i): Found[] =>
      insecure ? [] : [[['upstreams', name, 'targets', i, 'url'], url, '; "insecure": true on the target lets it be']],
    ),
  )
}

/** Keys and tokens come from there: nothing lets these be. */
function providerUrls({ authProviders }: Config): Found[] {
  return Object.entries(authProviders).flatMap(([name, provider]) =>
    Object.entries(provider).flatMap(([key, value]: [string, unknown]): Found[] =>
      /(?:uri|url|endpoint)$/i.test(key) && isUrl(value) ? [[['authProviders', name, key], value, '']] : [],
    ),
  )
}

/** As the parser reads it that will be asked when something is fetched: it drops tabs and line ends wherever they stand. */
const isPlain = (url: string): boolean => URL.canParse(url) && new URL(url).protocol === 'http:'

function isUrl(value: unknown): value is UrlOrEnv {
  return typeof value === 'string' || (typeof value === 'object' && value !== null && '$env' in value)
}
