import type { Identity } from '../core/exchange.ts'
import type { ProblemCode } from '../core/problem.ts'
import { compileClaimPath } from '../lib/claim-path.ts'

type ClaimValue = string | number | boolean

/** What a route asks of a caller whose token is good. */
export interface AdmissionRules {
  /** All of them. */
  readonly scopes: readonly string[]
  /** One of them, when there are any. */
  readonly roles: readonly string[]
  /** Claim path → the value, or a list of which one will do. A claim that is itself a list needs one element that fits. */
  readonly claims: Readonly<Record<string, ClaimValue | readonly ClaimValue[]>>
}

/** Compiles a route's rules into a decision: undefined lets the caller in, else the first rule that is not met. */
export function compileAdmission(rules: AdmissionRules): (identity: Identity) => ProblemCode | undefined {
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
