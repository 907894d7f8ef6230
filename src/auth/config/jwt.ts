import * as z from 'zod/mini'
import { choice, distinct, doc, documentUrlOrEnv, duration, secretRef } from '../../config/schema/scalars.ts'
import { claimPath } from '../../core/request-attribute.ts'
import { MAX_ACCESS_TOKEN_MS } from '../../identity/store-limits.ts'
import { GRANTS } from '../../identity/types.ts'
import { disclosure, revocation } from './revocation.ts'

const ALGORITHMS = [
  'ES256',
  'ES384',
  'ES512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'EdDSA',
  'HS256',
  'HS384',
  'HS512',
] as const

const YEAR_MS = 366 * 86_400_000

/** The schema of `tokens` in a provider with `"keys": "self"`: what the builtin `token` issues. */
const tokensConfig = z.strictObject({
  grants: doc(
    z.prefault(z.array(choice(GRANTS)).check(z.minLength(1), distinct()), [...GRANTS]),
    'The grants that `builtin: token` accepts: `password`, `client_credentials`, `refresh_token`. Default all three.',
  ),
  accessTtl: doc(
    z.prefault(duration(60_000, MAX_ACCESS_TOKEN_MS), '30m'),
    'The lifetime of an access token. Default 30m.',
  ),
  refreshTokens: doc(
    z.prefault(choice(['asked', 'always']), 'asked'),
    'Which logins get a refresh token: those that request the scope `offline_access`, or all. Default asked.',
  ),
  refreshTtl: doc(
    z.prefault(duration(60_000, YEAR_MS), '14d'),
    'How long an unused refresh token is valid. Default 14d.',
  ),
  sessionTtl: doc(
    z.prefault(duration(60_000, YEAR_MS), '90d'),
    'How long a session can be refreshed before the user must log in again. Default 90d.',
  ),
})

/** Checked `tokens`; durations in milliseconds. */
export type TokensConfig = z.output<typeof tokensConfig>

/** The schema of a provider of type `jwt`: the source of the keys, and the required claims. */
export const jwtProvider = z.strictObject({
  type: doc(z.literal('jwt'), 'Bearer tokens that are JWTs (RFC 7519).'),
  issuer: doc(z.string().check(z.minLength(1)), 'The exact `iss` of its tokens.'),
  audience: doc(
    z.union([z.string().check(z.minLength(1)), z.array(z.string()).check(z.minLength(1), distinct())]),
    'The token’s `aud`, or the claim of `audienceClaim`, must contain one of these.',
  ),
  audienceClaim: doc(
    z.prefault(claimPath, 'aud'),
    'The claim that is compared with `audience`, as a path like that of `rolesClaim`, for issuers without `aud`: `client_id` for access tokens of Amazon Cognito. A token without this claim is refused. Default aud.',
  ),
  algorithms: doc(
    z.array(choice(ALGORITHMS)).check(z.minLength(1), distinct()),
    'The only accepted algorithms, also when the token’s header names another one.',
  ),
  jwksUri: z.optional(
    doc(
      documentUrlOrEnv,
      'The URL of the issuer’s keys (RFC 7517); it may have a query. Fetched when first needed, and cached.',
    ),
  ),
  secret: z.optional(doc(secretRef, 'The shared secret of the HS algorithms; at least as long as the hash.')),
  keys: z.optional(
    doc(choice(['self']), '`self`: the tokens that this gateway issues (`builtin: token`); one provider may say so.'),
  ),
  tokens: doc(z.prefault(tokensConfig, {}), 'With `keys`: what the gateway issues.'),
  clockSkew: doc(
    z.prefault(duration(0, 300_000), '30s'),
    'How far the clocks may differ for `exp` and `nbf`. Default 30s.',
  ),
  jwksCooldown: doc(
    z.prefault(duration(1_000), '30s'),
    'The least time between two fetches of the keys, however many tokens name unknown keys; while no key is usable at all, 2s at most. Default 30s.',
  ),
  jwksMaxAge: doc(z.prefault(duration(1_000), '10m'), 'After this the keys are fetched again. Default 10m.'),
  jwksMaxStale: doc(
    z.prefault(duration(0), '1h'),
    'While the issuer is down the last valid keys are used up to this age; then the routes respond with 503. Default 1h.',
  ),
  rolesClaim: doc(
    z.prefault(claimPath, 'roles'),
    'The claim that lists roles: names joined by dots, or an array of names. Default roles.',
  ),
  scopesClaim: doc(
    z.prefault(claimPath, 'scope'),
    'The claim that lists scopes, as a path like that of `rolesClaim`: a space-separated string or an array. Default scope.',
  ),
  ...disclosure,
  ...revocation,
})

/** A checked provider of type `jwt`; durations in milliseconds. */
export type JwtProviderConfig = z.output<typeof jwtProvider>

const isHmac = (algorithm: string) => algorithm.startsWith('HS')

const FETCH_SETTINGS = ['jwksCooldown', 'jwksMaxAge', 'jwksMaxStale'] as const

/** Contradictions inside one provider, as [key, message]; `written` is the same before its defaults were filled in. */
export function checkJwtProvider(
  config: JwtProviderConfig,
  written: z.input<typeof jwtProvider>,
): [key: string, message: string][] {
  if (config.keys === 'self') return checkSelfIssued(config, written)
  const found: [string, string][] = []
  if (written.tokens !== undefined) found.push(['tokens', 'goes with "keys": "self" only: others issue these tokens'])
  if (config.jwksUri === undefined && config.secret === undefined)
    found.push(['jwksUri', 'expected "jwksUri" or "secret"'])
  if (config.jwksUri !== undefined && config.secret !== undefined)
    found.push(['secret', 'expected either "jwksUri" or "secret", not both'])
  // One list for both kinds would let a published RSA key be used as an HMAC secret (RFC 8725 §2.1).
  if (config.secret !== undefined && !config.algorithms.every(isHmac))
    found.push(['algorithms', 'a shared "secret" goes with HS256, HS384 or HS512 only'])
  if (config.jwksUri !== undefined && config.algorithms.some(isHmac))
    found.push(['algorithms', 'HS algorithms go with "secret", never with "jwksUri"'])
  const unused = config.jwksUri === undefined ? FETCH_SETTINGS.filter((key) => written[key] !== undefined) : []
  if (config.secret !== undefined)
    found.push(...unused.map((key): [string, string] => [key, 'has no use with "secret": no keys are fetched']))
  return found
}

const NOT_FOR_SELF = ['jwksUri', 'secret', ...FETCH_SETTINGS, 'audienceClaim', 'rolesClaim', 'scopesClaim'] as const

function checkSelfIssued(
  { algorithms }: JwtProviderConfig,
  written: z.input<typeof jwtProvider>,
): [key: string, message: string][] {
  const unused = NOT_FOR_SELF.filter((key) => written[key] !== undefined)
  const found = unused.map((key): [string, string] => [key, 'has no use with "keys": "self"'])
  if (algorithms.join() !== 'ES256') found.push(['algorithms', 'expected ["ES256"] with "keys": "self"'])
  return found
}
