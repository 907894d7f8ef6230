import type { Exchange, Identity } from '../../core/exchange.ts'
import { perPlatform, type Platform } from '../../core/platform.ts'
import type { ProblemCode } from '../../core/problem.ts'
import { makeIdentityClient } from '../../identity/client.ts'
import type { Authenticated } from '../authenticator.ts'
import type { AuthProviderConfig } from '../config/auth-provider.ts'
import { makeRevocationSnapshot, type RevocationStatus } from './revocation-snapshot.ts'

/** The code of the refusal of an authenticated caller; undefined when no credential was revoked. A promise after an idle time or an outage, and with several credentials. */
export type RevocationCheck = (
  caller: Authenticated,
  x: Pick<Exchange, 'waitUntil'>,
) => ProblemCode | undefined | Promise<ProblemCode | undefined>

const revocationsOf = perPlatform(({ identityStore, now }: Platform) =>
  makeRevocationSnapshot(makeIdentityClient(identityStore).revocationsSince, now),
)

/** The check of every use of a credential, cached ones too. Undefined in a deployment without a way to revoke: then it costs nothing. */
export function compileRevocationCheck(platform: Platform): RevocationCheck | undefined {
  const { admin, token, revoke } = { admin: platform.hasAdmin, ...platform.oauthPaths }
  if (!admin && token === undefined && revoke === undefined) return undefined
  const revocations = revocationsOf(platform)
  const providers = new Map(Object.entries(platform.authProviders).map(([name, config]) => [name, rulesOf(config)]))

  const check = (identity: Identity, x: Pick<Exchange, 'waitUntil'>) => {
    const { skewMs, codes } = providers.get(identity.provider)!
    const status = revocations.status(identity, skewMs, platform.now(), x.waitUntil)
    return typeof status === 'string' ? codes[status] : status.then((awaited) => codes[awaited])
  }
  return ({ identity, vouchers = [] }, x) => {
    if (vouchers.length === 0) return check(identity, x)
    return Promise.all([identity, ...vouchers].map(async (each) => check(each, x))).then(worst)
  }
}

interface Rules {
  readonly skewMs: number
  readonly codes: Readonly<Record<RevocationStatus, ProblemCode | undefined>>
}

function rulesOf(config: AuthProviderConfig): Rules {
  // The gateway uses the store's clock. The clock of another issuer may be ahead, and its tokens then appear younger than they are.
  const skewMs = skewOf(config)
  const unknown = config.onRevocationStoreError === 'deny' ? 'revocation-unavailable' : undefined
  return { skewMs, codes: { good: undefined, revoked: 'token-revoked', unknown } }
}

/** An introspection provider has no `clockSkew`: this is the default of other providers. */
const INTROSPECTION_SKEW_MS = 30_000

function skewOf(config: AuthProviderConfig): number {
  if (config.type === 'introspection') return INTROSPECTION_SKEW_MS
  return config.type === 'jwt' && config.keys === undefined ? config.clockSkew : 0
}

function worst(codes: readonly (ProblemCode | undefined)[]): ProblemCode | undefined {
  return codes.find((code) => code === 'token-revoked') ?? codes.find((code) => code !== undefined)
}
