import type { Identity } from '../core/exchange.ts'
import { PROBLEMS, type ProblemCode } from '../core/problem.ts'
import { compileClaimPath } from '../core/request-attribute.ts'
import type { Authenticated, Authenticator } from './authenticator.ts'

/** The authentication of a route: one authenticator, or several combined. */
export type AuthJudge = Pick<Authenticator, 'configured' | 'missing' | 'recall' | 'authenticate'>

/**
 * Accepts a caller that any of `judges` accepts, in their order; otherwise gives the most specific refusal. `now` is the clock, in epoch
 * milliseconds.
 */
export function anyOf(judges: readonly Authenticator[], now: () => number): AuthJudge {
  if (judges.length === 1) return judges[0]!
  // Only those that read the same credential: the identity must not depend on which of two credentials is cached.
  const another = judges.findIndex(
    ({ challenge, hides }) => challenge !== judges[0]!.challenge || hides !== judges[0]!.hides,
  )
  const alike = another === -1 ? judges : judges.slice(0, another)
  return {
    configured: judges.some(({ configured }) => configured),
    missing: commonMissing(judges),
    recall(x, at) {
      for (const judge of alike) {
        const known = judge.recall(x, at)
        if (known !== undefined) return known
      }
      return undefined
    },
    async authenticate(x) {
      let refusal: ProblemCode | undefined
      for (const judge of judges) {
        const found = judge.recall(x, now()) ?? (await judge.authenticate(x))
        if (typeof found === 'object' || (found !== undefined && FINAL.has(found))) return found
        if (found !== undefined && (refusal === undefined || weightOf(found) >= weightOf(refusal))) refusal = found
      }
      return refusal
    },
  }
}

/**
 * Accepts a caller that all of `judges` accept. The identity, scopes, roles and claims are those of the first; the others only confirm,
 * so that rights of several identities are never combined. `now` is the clock, in epoch milliseconds.
 */
export function allOf(judges: readonly AuthJudge[], now: () => number): AuthJudge {
  if (judges.length === 1) return judges[0]!
  return {
    configured: judges.every(({ configured }) => configured),
    missing: commonMissing(judges),
    recall(x, at) {
      const known: Authenticated[] = []
      for (const judge of judges) {
        const found = judge.recall(x, at)
        if (found === undefined) return undefined
        known.push(found)
      }
      return vouchedFor(known)
    },
    async authenticate(x) {
      const established: Authenticated[] = []
      for (const judge of judges) {
        const found = judge.recall(x, now()) ?? (await judge.authenticate(x))
        if (typeof found !== 'object') return found ?? judge.missing
        established.push(found)
      }
      return vouchedFor(established)
    },
  }
}

/** The first of them, valid while all of them are valid, and with the API key of any of them, by which limits count. */
function vouchedFor(established: readonly Authenticated[]): Authenticated {
  const [first, ...others] = established as [Authenticated, ...Authenticated[]]
  const { keyId, tier } = established.find(({ identity }) => identity.keyId !== undefined)?.identity ?? {}
  const keyed = { ...first.identity, ...(keyId !== undefined && { keyId }), ...(tier !== undefined && { tier }) }
  return {
    identity: keyId === undefined ? first.identity : keyed,
    vouchers: others.map(({ identity }) => identity),
    validFrom: Math.max(...established.map(({ validFrom }) => validFrom)),
    validUntil: Math.min(...established.map(({ validUntil }) => validUntil)),
    headers: undefined,
  }
}

function commonMissing(judges: readonly AuthJudge[]): ProblemCode {
  const codes = new Set(judges.map(({ missing }) => missing))
  return codes.size === 1 ? judges[0]!.missing : 'credentials-missing'
}

/**
 * Refusals that concern the request and end the search: the body was consumed, or the request was replayed. Another provider with the same key
 * would accept a replay, because each counts its own nonces.
 */
const FINAL: ReadonlySet<ProblemCode> = new Set(['body-too-large', 'body-timeout', 'client-gone', 'signature-replayed'])

/** Refusals of a credential that belongs to another provider, or that is absent. */
const NOT_MINE: ReadonlySet<ProblemCode> = new Set([
  'token-issuer',
  'token-malformed',
  'bearer-malformed',
  'certificate-unavailable',
])

/** The most specific refusal: unavailability of a provider first, because the others' refusals are then not final; then that of the credential's own provider. */
function weightOf(code: ProblemCode): number {
  if (NOT_MINE.has(code)) return 0
  if (code === 'token-algorithm') return 1
  return PROBLEMS[code][0] === 503 ? 3 : 2
}

type ClaimValue = string | number | boolean

/** The requirements of a route on an authenticated caller. */
export interface AuthorizationRules {
  /** All are required. */
  readonly scopes: readonly string[]
  /** One is required, when there are any. */
  readonly roles: readonly string[]
  /** Claim path → the value, or a list of accepted values. A claim that is a list needs one matching element. */
  readonly claims: Readonly<Record<string, ClaimValue | readonly ClaimValue[]>>
}

/** Compiles a route's requirements: undefined admits the caller, otherwise the first requirement that is not met. */
export function compileAuthorization(rules: AuthorizationRules): (identity: Identity) => ProblemCode | undefined {
  const claims = Object.entries(rules.claims).map(([path, wanted]) => ({
    read: compileClaimPath(path),
    wanted: new Set<unknown>([wanted].flat()),
  }))
  return ({ scopes, roles, claims: found }) => {
    if (!rules.scopes.every((scope) => scopes.includes(scope))) return 'scope-missing'
    if (rules.roles.length > 0 && !rules.roles.some((role) => roles.includes(role))) return 'role-missing'
    const fits = claims.every(({ read, wanted }) => [read(found)].flat().some((value) => wanted.has(value)))
    return fits ? undefined : 'claim-mismatch'
  }
}
