import * as z from 'zod/mini'
import { compileAdmission } from '../auth/admission.ts'
import { refuse } from '../auth/challenge.ts'
import { type CompactJws, parseCompactJws } from '../auth/compact-jws.ts'
import { compileIdentityHeaders, DEFAULT_IDENTITY_HEADERS } from '../auth/identity-headers.ts'
import type { WaitUntil } from '../auth/keys.ts'
import type { VerifiedToken } from '../auth/verified-token.ts'
import { type Verifier, verifierOf } from '../auth/verifier.ts'
import { expectedOneOf } from '../config/complaint.ts'
import { choice, doc, headerName } from '../config/scalars.ts'
import type { Exchange } from '../exchange.ts'
import { definePolicy } from '../policy.ts'
import { PROBLEMS, type ProblemCode } from '../problem.ts'

const text = z.string().check(z.minLength(1))
const scope = z.string().check(z.regex(/^[!#-[\]-~]+$/, 'expected a scope: no spaces, quotes or backslashes'))
const claimValue = z.union([z.string(), z.number(), z.boolean()], 'expected a string, a number, true or false')

const config = z.strictObject({
  providers: doc(
    z.array(z.string()).check(z.minLength(1, 'expected at least one auth provider')),
    'Names of `authProviders`. The token’s `iss` says which of them judges it; the others are not asked.',
  ),
  require: doc(
    z.prefault(choice(['any'], ['all']), 'any'),
    'A token of any one of the providers is enough. Default any.',
  ),
  scopes: doc(z.prefault(z.array(scope), []), 'The token must have all of these scopes. Default none.'),
  roles: doc(z.prefault(z.array(text), []), 'The caller must have at least one of these roles. Default none.'),
  claims: doc(
    z.prefault(z.record(text, z.union([claimValue, z.array(claimValue).check(z.minLength(1))])), {}),
    'What claims must be: a value, or a list of which one will do. Dots descend; a claim that is a list needs one element that fits. Default none.',
  ),
  identityHeaders: doc(
    z.prefault(z.record(headerName, text), DEFAULT_IDENTITY_HEADERS),
    'What the origin is told: header → `$scopes`, `$roles` or the path of a claim. A client’s own copies are removed. Default x-auth-subject, x-auth-issuer, x-auth-scopes, x-auth-roles.',
  ),
})

type AuthConfig = z.output<typeof config>

/** Headers that frame, route or authenticate the message itself: a claim must not write them. */
const NOT_FOR_IDENTITY =
  /^(?:authorization|cookie|host|content-.*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|range|if-.*|forwarded|x-forwarded-.*|proxy-.*|traceparent|tracestate)$/

/** The headers that an origin believes to come from the gateway: the route's own, and always the default ones. */
export function identityHeaderNames({ identityHeaders }: Pick<AuthConfig, 'identityHeaders'>): string[] {
  return Object.keys({ ...DEFAULT_IDENTITY_HEADERS, ...identityHeaders })
}

/** Lets a request in that carries a bearer JWT (RFC 6750, 7519) of one of the route's providers, and says who it is. */
export const auth = definePolicy({
  name: 'auth',
  config,

  check: ({ providers, identityHeaders }, { authProviders }) => [
    ...providers.flatMap((name, index) => {
      if (Object.hasOwn(authProviders, name)) return []
      const message = `no auth provider "${name}"; ${expectedOneOf(name, Object.keys(authProviders))}`
      return [{ path: ['providers', index], message }]
    }),
    ...Object.keys(identityHeaders)
      .filter((name) => NOT_FOR_IDENTITY.test(name))
      .map((name) => ({
        path: ['identityHeaders', name],
        message: 'expected a header of your own, such as x-user-id',
      })),
  ],

  injects: identityHeaderNames,

  compile({ providers, ...rules }, site) {
    const verifiers = providers.map((name) => verifierOf(site, name))
    const refusalOf = compileAdmission(rules)
    const headersOf = compileIdentityHeaders(rules.identityHeaders)
    const refused = (code: ProblemCode) => refuse(code, rules.scopes)
    if (!verifiers.some(({ configured }) => configured)) return () => async () => refused('not-configured')

    // Not async, and no promise of its own for a token that is remembered: this is on the way of every request.
    return (next) => {
      const admit = (x: Exchange, token: VerifiedToken) => {
        const refusal = refusalOf(token.identity)
        if (refusal !== undefined) return Promise.resolve(refused(refusal))
        x.identity = token.identity
        for (const [name, value] of headersOf(token)) x.outgoing.headers[name] = value
        return next(x)
      }
      return (x) => {
        const token = parseBearer(x.request.headers.get('authorization'))
        if (token === undefined) return Promise.resolve(refused('token-missing'))
        const now = site.now()
        for (const verifier of verifiers) {
          const known = verifier.recall(token, now, x.waitUntil)
          if (known !== undefined) return admit(x, known)
        }
        return authenticate(token, verifiers, x.waitUntil).then((found) =>
          typeof found === 'string' ? refused(found) : admit(x, found),
        )
      }
    }
  },
})

/** What follows `Bearer ` (in any case, RFC 9110 §11.1); undefined when there is no such credential. */
function parseBearer(header: string | null): string | undefined {
  return header === null ? undefined : /^bearer +([^]+)$/i.exec(header)?.[1]
}

async function authenticate(
  token: string,
  verifiers: readonly Verifier[],
  waitUntil: WaitUntil,
): Promise<VerifiedToken | ProblemCode> {
  const jws = parseCompactJws(token)
  if (jws === undefined) return 'token-malformed'
  const chosen = choose(verifiers, jws)
  if (typeof chosen === 'string') return chosen
  let refusal: ProblemCode | undefined
  for (const verifier of chosen) {
    const found = await verifier.verify(jws, waitUntil)
    if (typeof found !== 'string') return found
    // Where one provider cannot say, another's "no" is not the whole truth.
    if (refusal === undefined || PROBLEMS[refusal][0] !== 503) refusal = found
  }
  return refusal!
}

/** The providers that the token claims to be from; more than one only when they share an issuer. */
function choose(verifiers: readonly Verifier[], jws: CompactJws): Verifier[] | ProblemCode {
  if (typeof jws.issuer !== 'string') return 'token-claims'
  const issued = verifiers.filter(({ config: { issuer } }) => issuer === jws.issuer)
  if (issued.length === 0) return 'token-issuer'
  const fitting = issued.filter(({ config: { algorithms } }) => algorithms.some((alg) => alg === jws.alg))
  return fitting.length === 0 ? 'token-algorithm' : fitting
}
