import { parseCidr } from '../lib/ip.ts'
import type { Diagnostic } from './schema/diagnostic.ts'
import type { Config, RouteConfig } from './routes-file.ts'
import { ownIssuersOf } from '../auth/config/auth-provider.ts'

/** What the check reads of the policies that guard a route; their own schemas have judged the rest. */
interface Guards {
  readonly auth?: {
    readonly providers: readonly string[]
    readonly roles: readonly string[]
    readonly scopes: readonly string[]
  } | null
  readonly ip?: { readonly allow: readonly string[] } | null
}

/** Refuses a `builtin: admin` that anybody could use, for it steers the traffic of every route; `at` is where the route stands. */
export function checkAdmin({ builtin, match, policies }: RouteConfig, at: Diagnostic['path']): Diagnostic[] {
  if (builtin !== 'admin') return []
  const found = guardDiagnostic(policies as Guards)
  const diagnostics = found === undefined ? [] : [{ path: [...at, 'policies', ...found.below], message: found.message }]
  if (!match.path.endsWith('/*'))
    diagnostics.push({ path: [...at, 'match', 'path'], message: 'expected a final "/*": admin has several endpoints' })
  return diagnostics
}

/** Half of all addresses or more: two such networks are everyone. */
const isWide = (network: string) => (parseCidr(network)?.bits ?? 0) <= 1

/** The role of the user that `builtin: bootstrap` makes. */
export const FIRST_ROLE = 'admin'

/** Refuses a `builtin: bootstrap` that could make nobody, or a user whom no admin route would let in. */
export function checkBootstrap(
  { builtin, match, policies }: RouteConfig,
  at: Diagnostic['path'],
  { authProviders, routes }: Pick<Config, 'authProviders' | 'routes'>,
): Diagnostic[] {
  if (builtin !== 'bootstrap') return []
  const found: Diagnostic[] = []
  if (match.methods?.join() !== 'POST')
    found.push({ path: [...at, 'match', 'methods'], message: 'expected ["POST"]: bootstrap makes something' })
  if ((policies as Guards).auth != null)
    found.push({
      path: [...at, 'policies', 'auth'],
      message: 'expected null: nobody can pass it before there is a user',
    })
  const [self] = ownIssuersOf(authProviders)
  const letsIn = ({ auth }: Guards) =>
    auth?.scopes.length === 0 &&
    auth.roles.includes(FIRST_ROLE) &&
    self !== undefined &&
    auth.providers.includes(self.name)
  if (!routes.some((route) => route.builtin === 'admin' && letsIn(route.policies as Guards))) {
    const message = `the first user has the role "${FIRST_ROLE}" and logs in here: expected a route with "builtin": "admin" that lets him in by "auth", with "roles": ["${FIRST_ROLE}"] and a provider with "keys": "self"`
    found.push({ path: [...at, 'builtin'], message })
  }
  return found
}

function guardDiagnostic({ auth, ip }: Guards): { below: string[]; message: string } | undefined {
  const everyone = ip?.allow.find(isWide)
  if (ip && ip.allow.length > 0 && everyone === undefined) return undefined
  if (auth && (auth.roles.length > 0 || auth.scopes.length > 0)) return undefined
  const stake = 'whoever gets here steers all traffic'
  if (auth) return { below: ['auth'], message: `${stake}; expected "roles" or "scopes", for now any token will do` }
  if (everyone !== undefined)
    return {
      below: ['ip', 'allow'],
      message: `${stake}; "${everyone}" is ${parseCidr(everyone)?.bits === 1 ? 'half of everyone' : 'everyone'}, expected the networks of operators`,
    }
  return { below: [], message: `${stake}; expected "auth" with "roles" or "scopes", or "ip" with "allow"` }
}
