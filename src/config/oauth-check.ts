import type { Diagnostic } from './schema/diagnostic.ts'
import { isOAuthBuiltin } from '../identity/api.ts'
import type { Config, RouteConfig } from './routes-file.ts'
import { ownIssuersOf } from '../auth/config/auth-provider.ts'

/** What a route with one of OAUTH_BUILTINS needs elsewhere in the file; `at` is where the route stands. */
export function checkOAuth(
  { builtin, match, policies }: RouteConfig,
  at: Diagnostic['path'],
  config: Config,
): Diagnostic[] {
  if (!isOAuthBuiltin(builtin)) return []
  const found: Diagnostic[] = []
  const say = (path: Diagnostic['path'], message: string) => found.push({ path: [...at, ...path], message })
  const [own] = ownIssuersOf(config.authProviders)
  if (own === undefined)
    say(['builtin'], `needs an auth provider of type "jwt" with "keys": "self": it says whose tokens these are`)
  if (builtin === 'userinfo' && !asks(policies.auth, own?.name))
    say(['policies'], `expected "auth" with the provider that has "keys": "self": it is about whoever asks`)
  if (builtin === 'metadata' && own !== undefined && !isIssuerUrl(own.config.issuer))
    say(
      ['builtin'],
      `needs an issuer that is a URL without query and fragment (RFC 8414 §2), for example "https://api.example.com/"; that of "${own.name}" is not`,
    )
  if (builtin !== 'metadata' && /\/:|\/\*$/.test(match.path))
    say(['match', 'path'], 'expected a path without parameters and wildcards, for clients are told it')
  return found
}

/** More than one provider with `"keys": "self"`: nothing could tell for which of them a token is issued. */
export function checkSelfProviders(config: Config): Diagnostic[] {
  const [first, ...others] = ownIssuersOf(config.authProviders)
  return others.map(({ name }) => ({
    path: ['authProviders', name, 'keys'],
    message: `"${first!.name}" has "self" already; tokens are issued for one provider`,
  }))
}

function asks(auth: unknown, name: string | undefined): boolean {
  const providers = (auth as { providers?: readonly string[] } | null | undefined)?.providers
  return providers !== undefined && (name === undefined || providers.includes(name))
}

function isIssuerUrl(issuer: string): boolean {
  const url = URL.parse(issuer)
  return url !== null && /^https?:$/.test(url.protocol) && !/[?#]/.test(issuer)
}
