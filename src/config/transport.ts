import type { Diagnostic } from './schema/diagnostic.ts'
import { type Config } from './routes-file.ts'
import { type UrlOrEnv } from './schema/scalars.ts'
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
