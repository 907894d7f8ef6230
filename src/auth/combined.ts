import type { Identity } from '../core/exchange.ts'
import { PROBLEMS, type ProblemCode } from '../core/problem.ts'
import { compileClaimPath } from '../core/request-attribute.ts'
import type { Authenticated, Authenticator } from './authenticator.ts'

/** What a route asks who is calling: one authenticator, or several as one. */
export type AuthJudge = Pick<Authenticator, 'configured' | 'missing' | 'recall' | 'authenticate'>

/**
 * Takes a caller that any of `judges` takes, asked in their order; else the refusal that says most is given. `now` is the clock, in epoch
 * milliseconds.
 */
export function anyOf(judges: readonly Authenticator[], now: () => number): AuthJudge {
  if (judges.length === 1) return judges[0]!
  // Only those that read the same credential: who is calling must not depend on which of two credentials is remembered.
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
 * Takes a caller that every one of `judges` takes. He is who the first says, with that one's scopes, roles and claims: the
 * others only vouch, so that no one's rights add up with another's. `now` is the clock, in epoch milliseconds.
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

/** The first of them, for as long as all of them are good, and with the key that any of them came with: limits count by it. */
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
 * Of the request, whoever asks: the body was read and is gone, or the request was sent before. Another provider that has the same key would
 * take it once more, as each counts its own nonces.
 */
const FINAL: ReadonlySet<ProblemCode> = new Set(['body-too-large', 'client-gone', 'signature-replayed'])

/** What a provider says of a credential that is none of its own, or that it never gets to see. */
const NOT_MINE: ReadonlySet<ProblemCode> = new Set([
  'token-issuer',
  'token-malformed',
  'bearer-malformed',
  'certificate-unavailable',
])

/** Where one provider cannot say, another's "no" is not the whole truth; and whose credential it is knows best what is wrong with it. */
function weightOf(code: ProblemCode): number {
  if (NOT_MINE.has(code)) return 0
  if (code === 'token-algorithm') return 1
  return PROBLEMS[code][0] === 503 ? 3 : 2
}

type ClaimValue = string | number | boolean

/** What a route asks of a caller whose token is good. */
export interface AuthorizationRules {
  /** All of them. */
  readonly scopes: readonly string[]
  /** One of them, when there are any. */
  readonly roles: readonly string[]
  /** Claim path → the value, or a list of which one will do. A claim that is itself a list needs one element that fits. */
  readonly claims: Readonly<Record<string, ClaimValue | readonly ClaimValue[]>>
}

/** Compiles a route's rules into a decision: undefined lets the caller in, else the first rule that is not met. */
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
