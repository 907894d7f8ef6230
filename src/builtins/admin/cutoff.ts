import { selfProviders } from '../../auth/config/own-issuer.ts'
import { MAX_ACCESS_TOKEN_MS, MAX_SKEW_MS } from '../../identity/bounds.ts'
import type { Actor, Cutoff, IdentityClient } from '../../identity/types.ts'
import type { Platform } from '../../core/platform.ts'

/** Which tokens end with an account's rights: those that the gateway has issued itself and that may still live. */
export type MakeCutoff = () => Cutoff

/** Each cutoff reaches from its call on for the longest life of an access token and the largest clock skew; without an own issuer it names none. */
export function makeCutoff({ authProviders, now }: Pick<Platform, 'authProviders' | 'now'>): MakeCutoff {
  const issuers = selfProviders(authProviders).map(({ config }) => config.issuer)
  return () => ({ issuers, until: now() + MAX_ACCESS_TOKEN_MS + MAX_SKEW_MS })
}

/** Revokes every token that `subject` has got so far. Answers the first that is no success, so that the caller can say so. */
export async function endTokens(identity: IdentityClient, subject: string, { issuers, until }: Cutoff, by: Actor) {
  const answers = await Promise.all(issuers.map((issuer) => identity.revoke({ issuer, subject }, until, by)))
  return answers.find((answer) => answer !== 'revoked') ?? 'revoked'
}
