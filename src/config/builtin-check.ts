import { ownIssuersOf } from '../auth/issuers.ts'
import type { AuthenticationFacts, PlacedText } from '../core/policy.ts'
import { isOAuthBuiltin } from '../identity/oauth-builtins.ts'
import { parseCidr } from '../lib/ip.ts'
import { declaredFacts, factsOf } from './route-facts.ts'
import type { Config, RouteConfig } from './routes-file.ts'
import type { Diagnostic } from './schema/diagnostic.ts'

type Path = Diagnostic['path']
type PolicyName = keyof RouteConfig['policies']

/** What a route with a `builtin` needs of its policies and of the rest of the file; `at` is the path of the route. */
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

/** Refuses an `admin` that everyone could use, because it controls the traffic of every route. */
function checkAdmin(route: RouteConfig, at: Path): Diagnostic[] {
  const found = checkGuards(authenticationOf(route), factsOf(declaredFacts(route), 'allowedNetworks').flat(), at)
  return route.match.path.endsWith('/*')
    ? found
    : [...found, { path: [...at, 'match', 'path'], message: 'expected a final "/*": admin has several endpoints' }]
}

/** Half of all addresses or more: two such networks are everyone. */
const isWide = (network: string) => (parseCidr(network)?.bits ?? 0) <= 1

function checkGuards(
  authentication: AuthenticationFacts | undefined,
  networks: readonly PlacedText[],
  at: Path,
): Diagnostic[] {
  const wide = networks.find(({ text }) => isWide(text))
  if (networks.length > 0 && wide === undefined) return []
  if (authentication && (authentication.roles.length > 0 || authentication.scopes.length > 0)) return []
  const stake = 'whoever gets here steers all traffic'
  if (authentication) {
    const message = `${stake}; expected "roles" or "scopes", for now any token will do`
    return [{ path: policyPath(at, 'auth'), message }]
  }
  if (wide !== undefined) {
    const share = parseCidr(wide.text)?.bits === 1 ? 'half of everyone' : 'everyone'
    const message = `${stake}; "${wide.text}" is ${share}, expected the networks of operators`
    return [{ path: [...policyPath(at, 'ip'), ...wide.path], message }]
  }
  const message = `${stake}; expected "auth" with "roles" or "scopes", or "ip" with "allow"`
  return [{ path: [...at, 'policies'], message }]
}

/** The role of the user that `builtin: bootstrap` creates. */
export const FIRST_ROLE = 'admin'

/** Refuses a `bootstrap` that could create no user, or a user whom no admin route would let in. */
function checkBootstrap(route: RouteConfig, at: Path, { authProviders, routes }: Config): Diagnostic[] {
  const found: Diagnostic[] = []
  if (route.match.methods?.join() !== 'POST')
    found.push({ path: [...at, 'match', 'methods'], message: 'expected ["POST"]: bootstrap makes something' })
  if (authenticationOf(route) !== undefined)
    found.push({ path: policyPath(at, 'auth'), message: 'expected null: nobody can pass it before there is a user' })
  const [own] = ownIssuersOf(authProviders)
  const letsIn = (authentication: AuthenticationFacts | undefined) =>
    authentication?.scopes.length === 0 &&
    authentication.roles.includes(FIRST_ROLE) &&
    own !== undefined &&
    authentication.providers.includes(own.name)
  if (!routes.some((other) => other.builtin === 'admin' && letsIn(authenticationOf(other)))) {
    const message = `the first user has the role "${FIRST_ROLE}" and logs in here: expected a route with "builtin": "admin" that lets him in by "auth", with "roles": ["${FIRST_ROLE}"] and a provider with "keys": "self"`
    found.push({ path: [...at, 'builtin'], message })
  }
  return found
}

/** Refuses a `token` at which passwords can be tried without end, or at which one client can use up the limit of all. */
function checkToken(route: RouteConfig, at: Path): Diagnostic[] {
  const limits = factsOf(declaredFacts(route), 'limitsBeforeAuth').flat()
  if (limits.some(({ perClient }) => perClient)) return []
  const message =
    limits.length === 0
      ? 'whoever gets here can try passwords; expected a limiter with "before": "auth", such as 5 a minute for each "client.ip"'
      : 'one caller could use up what all have together to log in; expected "client.ip" in the "key" of a limiter with "before": "auth"'
  return [{ path: policyPath(at, 'rateLimit'), message }]
}

/** What a route with one of OAUTH_BUILTINS needs of the auth provider that issues its tokens. */
function checkOAuth(route: RouteConfig, at: Path, config: Config): Diagnostic[] {
  const { builtin, match } = route
  if (!isOAuthBuiltin(builtin)) return []
  const found: Diagnostic[] = []
  const report = (path: Path, message: string) => found.push({ path: [...at, ...path], message })
  const [own] = ownIssuersOf(config.authProviders)
  if (own === undefined)
    report(['builtin'], `needs an auth provider of type "jwt" with "keys": "self": it says whose tokens these are`)
  const providers = authenticationOf(route)?.providers
  if (builtin === 'userinfo' && !(providers && (own === undefined || providers.includes(own.name))))
    report(['policies'], `expected "auth" with the provider that has "keys": "self": it is about whoever asks`)
  if (builtin === 'metadata' && own !== undefined && !isIssuerUrl(own.config.issuer))
    report(
      ['builtin'],
      `needs an issuer that is a URL without query and fragment (RFC 8414 §2), for example "https://api.example.com/"; that of "${own.name}" is not`,
    )
  if (builtin !== 'metadata' && /\/:|\/\*$/.test(match.path))
    report(['match', 'path'], 'expected a path without parameters and wildcards, for clients are told it')
  return found
}

function isIssuerUrl(issuer: string): boolean {
  const url = URL.parse(issuer)
  return url !== null && /^https?:$/.test(url.protocol) && !/[?#]/.test(issuer)
}

/** More than one provider with `"keys": "self"`: tokens are issued for one of them. */
export function checkOwnIssuers(config: Config): Diagnostic[] {
  const [first, ...others] = ownIssuersOf(config.authProviders)
  return others.map(({ name }) => ({
    path: ['authProviders', name, 'keys'],
    message: `"${first!.name}" has "self" already; tokens are issued for one provider`,
  }))
}
