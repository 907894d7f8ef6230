import { ownIssuersOf } from '../auth/issuers.ts'
import type { AuthenticationFacts, PlacedText } from '../core/policy.ts'
import { isOAuthBuiltin } from '../identity/oauth-builtins.ts'
import { parseCidr } from '../lib/ip.ts'
import { declaredFacts, factsOf } from './route-facts.ts'
import type { Config, RouteConfig } from './routes-file.ts'
import type { Diagnostic } from './schema/diagnostic.ts'

type Path = Diagnostic['path']
type PolicyName = keyof RouteConfig['policies']

/** Diagnostics of a route's `builtin`: the policies and the other parts of the file that it requires. `at` is the path of the route. */
export function checkBuiltin(route: RouteConfig, at: Path, config: Config): Diagnostic[] {
  switch (route.builtin) {
    case 'admin':
      return checkAdmin(route, at)
    case 'bootstrap':
      return checkBootstrap(route, at, config)
    case 'token':
      return [...checkToken(route, at), ...checkOAuth(route, at, config)]
    default:
      return checkOAuth(route, at, config)
  }
}

const policyPath = (at: Path, name: PolicyName): Path => [...at, 'policies', name]

const authenticationOf = (route: RouteConfig): AuthenticationFacts | undefined =>
  factsOf(declaredFacts(route), 'authentication')[0]

/** Refuses an `admin` without access control, because it controls the traffic of every route. */
function checkAdmin(route: RouteConfig, at: Path): Diagnostic[] {
  const found = checkGuards(authenticationOf(route), factsOf(declaredFacts(route), 'allowedNetworks').flat(), at)
  return route.match.path.endsWith('/*')
    ? found
    : [...found, { path: [...at, 'match', 'path'], message: 'expected a final "/*": admin has several endpoints' }]
}

/** Whether a network holds half of all addresses or more: two such networks hold all of them. */
const isWide = (network: string) => (parseCidr(network)?.bits ?? 0) <= 1

function checkGuards(
  authentication: AuthenticationFacts | undefined,
  networks: readonly PlacedText[],
  at: Path,
): Diagnostic[] {
  const wide = networks.find(({ text }) => isWide(text))
  if (networks.length > 0 && wide === undefined) return []
  if (authentication && (authentication.roles.length > 0 || authentication.scopes.length > 0)) return []
  const risk = 'admin controls the traffic of every route'
  if (authentication) {
    const message = `${risk}; expected "roles" or "scopes": without them any token is accepted`
    return [{ path: policyPath(at, 'auth'), message }]
  }
  if (wide !== undefined) {
    const share = parseCidr(wide.text)?.bits === 1 ? 'half of all addresses' : 'all addresses'
    const message = `${risk}; "${wide.text}" covers ${share}; expected the networks of operators`
    return [{ path: [...policyPath(at, 'ip'), ...wide.path], message }]
  }
  const message = `${risk}; expected "auth" with "roles" or "scopes", or "ip" with "allow"`
  return [{ path: [...at, 'policies'], message }]
}

/** The role of the user that `builtin: bootstrap` creates. */
export const FIRST_ROLE = 'admin'

/** Refuses a `bootstrap` that could create no user, or a user that no admin route would admit. */
function checkBootstrap(route: RouteConfig, at: Path, { authProviders, routes }: Config): Diagnostic[] {
  const found: Diagnostic[] = []
  if (route.match.methods?.join() !== 'POST')
    found.push({ path: [...at, 'match', 'methods'], message: 'expected ["POST"]: bootstrap creates a user' })
  if (authenticationOf(route) !== undefined)
    found.push({
      path: policyPath(at, 'auth'),
      message: 'expected null: no caller can authenticate before the first user exists',
    })
  const [own] = ownIssuersOf(authProviders)
  const admitsFirstUser = (authentication: AuthenticationFacts | undefined) =>
    authentication?.scopes.length === 0 &&
    authentication.roles.includes(FIRST_ROLE) &&
    own !== undefined &&
    authentication.providers.includes(own.name)
  if (!routes.some((other) => other.builtin === 'admin' && admitsFirstUser(authenticationOf(other)))) {
    const message = `the first user has the role "${FIRST_ROLE}" and a token of this gateway; expected a route with "builtin": "admin" whose "auth" admits that user, with "roles": ["${FIRST_ROLE}"] and a provider with "keys": "self"`
    found.push({ path: [...at, 'builtin'], message })
  }
  return found
}

/** Refuses a `token` at which the number of password guesses is not limited, or at which one client can use up the limit of all clients. */
function checkToken(route: RouteConfig, at: Path): Diagnostic[] {
  const limits = factsOf(declaredFacts(route), 'limitsBeforeAuth').flat()
  if (limits.some(({ perClient }) => perClient)) return []
  const message =
    limits.length === 0
      ? 'any client can guess passwords; expected a limiter with "before": "auth", such as 5 a minute for each "client.ip"'
      : 'one client could use up the limit of all logins; expected "client.ip" in the "key" of a limiter with "before": "auth"'
  return [{ path: policyPath(at, 'rateLimit'), message }]
}

/** Diagnostics of a route with one of OAUTH_BUILTINS: the auth provider, the policies and the path that it requires. */
function checkOAuth(route: RouteConfig, at: Path, config: Config): Diagnostic[] {
  const { builtin, match } = route
  if (!isOAuthBuiltin(builtin)) return []
  const found: Diagnostic[] = []
  const report = (path: Path, message: string) => found.push({ path: [...at, ...path], message })
  const [own] = ownIssuersOf(config.authProviders)
  if (own === undefined)
    report(['builtin'], `needs an auth provider of type "jwt" with "keys": "self": this endpoint serves its tokens`)
  const providers = authenticationOf(route)?.providers
  if (builtin === 'userinfo' && !(providers && (own === undefined || providers.includes(own.name))))
    report(['policies'], `expected "auth" with the provider that has "keys": "self": it describes the caller`)
  if (builtin === 'metadata' && own !== undefined && !isIssuerUrl(own.config.issuer))
    report(
      ['builtin'],
      `needs an issuer that is a URL without query and fragment (RFC 8414 §2), for example "https://api.example.com/"; that of "${own.name}" is not`,
    )
  if (builtin !== 'metadata' && /\/:|\/\*$/.test(match.path))
    report(['match', 'path'], 'expected a path without parameters and wildcards, because clients are given it')
  return found
}

function isIssuerUrl(issuer: string): boolean {
  const url = URL.parse(issuer)
  return url !== null && /^https?:$/.test(url.protocol) && !/[?#]/.test(issuer)
}

/** A diagnostic for each further provider with `"keys": "self"`: the gateway issues tokens for one provider only. */
export function checkOwnIssuers(config: Config): Diagnostic[] {
  const [first, ...others] = ownIssuersOf(config.authProviders)
  return others.map(({ name }) => ({
    path: ['authProviders', name, 'keys'],
    message: `"${first!.name}" has "self" already; tokens are issued for one provider`,
  }))
}
