import type { AuthProviderConfig } from '../auth/config/auth-provider.ts'
import { ownIssuersOf } from '../auth/issuers.ts'
import { isOAuthBuiltin } from '../identity/oauth-builtins.ts'
import { makeCidrMatcher } from '../lib/ip.ts'
import { declaredFacts, factsOf, upstreamNames } from './route-facts.ts'
import type { Config } from './routes-file.ts'
import type { Diagnostic } from './schema/diagnostic.ts'
import { isBaseUrl, isDocumentUrl, type UrlOrEnv } from './schema/scalars.ts'

/** Diagnostics of variables that are set but hold no URL, or one that `transport` does not allow. A variable that is not set is checked when the Worker starts. */
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

/** A diagnostic for each target whose variable is not set: without it the Worker does not start. */
export function unsetTargets(config: Config, variable: (name: string) => string | undefined): Diagnostic[] {
  return Object.entries(config.upstreams).flatMap(([name, { targets }]) =>
    targets.flatMap(({ url }, i) =>
      typeof url === 'string' || variable(url.$env)
        ? []
        : [{ path: ['upstreams', name, 'targets', i, 'url'], message: `the variable ${url.$env} is not set` }],
    ),
  )
}

const isLinkLocal = makeCidrMatcher(['169.254.0.0/16', 'fe80::/10', 'fd00:ec2::/32'])

/** Whether a URL names a link-local address or the metadata service of a cloud, by its address or by its name. */
function isMetadataUrl(url: string | undefined): boolean {
  const host = URL.parse(url ?? '')?.hostname.replaceAll(/^\[|\]$|\.$/g, '') ?? ''
  return isLinkLocal(host) || host === 'metadata.google.internal'
}

/** The parts of a checked file that are allowed and most likely mistakes: upstreams and auth providers that no route uses, and metadata services as targets. */
export function configWarnings(config: Config, variable: (name: string) => string | undefined): Diagnostic[] {
  const { routes, upstreams, authProviders } = config
  const usedUpstreams = new Set(routes.flatMap(upstreamNames))
  const usedProviders = new Set(
    routes.flatMap((route) => factsOf(declaredFacts(route), 'authentication').flatMap(({ providers }) => providers)),
  )
  if (routes.some(({ builtin }) => isOAuthBuiltin(builtin)))
    ownIssuersOf(authProviders).forEach(({ name }) => usedProviders.add(name))
  const unused = (part: string, names: string[], used: ReadonlySet<string>) =>
    names.filter((name) => !used.has(name)).map((name) => ({ path: [part, name], message: 'no route uses it' }))
  return [
    ...unused('authProviders', Object.keys(authProviders), usedProviders),
    ...unused('upstreams', Object.keys(upstreams), usedUpstreams),
    ...Object.entries(upstreams).flatMap(([name, { targets }]) =>
      targets.flatMap(({ url }, i) =>
        isMetadataUrl(typeof url === 'string' ? url : variable(url.$env))
          ? [
              {
                path: ['upstreams', name, 'targets', i, 'url'],
                message:
                  'is a link-local or metadata address, which gives the credentials of the machine to its callers',
              },
            ]
          : [],
      ),
    ),
  ]
}

/** `JWT_SECRET is not set: routes a, b answer 503`: a line for each unset variable that an auth provider or a signing upstream requires. */
export function unsetKeys(config: Config, variable: (name: string) => string | undefined): string[] {
  const unset = new Map<string, string>()
  for (const [name, provider] of Object.entries(config.authProviders)) {
    const missing = variablesOf(provider).find((required) => !variable(required))
    if (missing !== undefined) unset.set(name, missing)
  }
  const ofProviders = [...new Set(unset.values())].flatMap((name) => {
    const routes = config.routes.flatMap((route) => {
      const { id } = route
      const { providers = [], requiresAll = false } = factsOf(declaredFacts(route), 'authentication')[0] ?? {}
      const unusable = providers.filter((provider) => unset.get(provider) === name)
      if (unusable.length === 0) return []
      const isClosed = requiresAll || providers.every((provider) => unset.has(provider))
      return [isClosed ? id : `${id} (to tokens of ${unusable.join(', ')})`]
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

/** A line for each unset variable that holds the signing key of an upstream. */
function unsetSigners(config: Config, variable: (name: string) => string | undefined): string[] {
  return Object.entries(config.upstreams).flatMap(([name, { sign }]) => {
    const required = (sign?.secret ?? sign?.key)?.$secret
    if (required === undefined || variable(required)) return []
    return [`${required} is not set: nothing is sent to the upstream ${name}, whose routes answer 503`]
  })
}

/** The variables without which a provider accepts no request. `httpSignature` works while at least one of its keys is usable. */
function variablesOf(provider: AuthProviderConfig): string[] {
  if (provider.type === 'httpSignature') {
    const [key, ...others] = provider.keys
    return key !== undefined && 'secret' in key && others.length === 0 ? [key.secret.$secret] : []
  }
  const urls = urlsOf(provider).flatMap(([, url]) => (typeof url === 'object' ? url.$env : []))
  if (provider.type === 'introspection') return [...urls, provider.clientSecret.$secret]
  return provider.type === 'jwt' && provider.secret ? [...urls, provider.secret.$secret] : urls
}

/** A URL of the file, its path, and what the message says about an exemption. */
type PlacedUrl = readonly [path: Diagnostic['path'], url: UrlOrEnv, exemption: string]

/** URLs by which secrets and requests would be sent unencrypted although `transport.targets` is https. Unset variables are not checked. */
export function insecureUrls(config: Config, variable: (name: string) => string | undefined): Diagnostic[] {
  if (config.transport.targets === 'any') return []
  return [...targetUrls(config), ...providerUrls(config)].flatMap(([path, url, exemption]) => {
    const value = typeof url === 'string' ? url : variable(url.$env)
    if (value === undefined || !isPlain(value)) return []
    const where = typeof url === 'string' ? '' : `the variable ${url.$env} holds http; `
    return [{ path, message: `${where}expected https, because transport.targets is "https"${exemption}` }]
  })
}

function targetUrls({ upstreams }: Config): PlacedUrl[] {
  return Object.entries(upstreams).flatMap(([name, { targets }]) =>
    targets.flatMap(({ url, insecure }, i): PlacedUrl[] =>
      insecure ? [] : [[['upstreams', name, 'targets', i, 'url'], url, '; "insecure": true on the target allows it']],
    ),
  )
}

/** Keys and tokens come from these URLs: there is no exemption. */
function providerUrls({ authProviders }: Config): PlacedUrl[] {
  return Object.entries(authProviders).flatMap(([name, provider]) =>
    Object.entries(provider).flatMap(([key, value]: [string, unknown]): PlacedUrl[] =>
      /(?:uri|url|endpoint)$/i.test(key) && isUrl(value) ? [[['authProviders', name, key], value, '']] : [],
    ),
  )
}

/** Whether the scheme is http, by the parser that `fetch` uses (URL standard): it drops tabs and line ends anywhere in the text. */
const isPlain = (url: string): boolean => URL.canParse(url) && new URL(url).protocol === 'http:'

function isUrl(value: unknown): value is UrlOrEnv {
  return typeof value === 'string' || (typeof value === 'object' && value !== null && '$env' in value)
}
