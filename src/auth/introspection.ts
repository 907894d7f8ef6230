import { isDocumentUrl, resolveUrl } from '../config/schema/scalars.ts'
import type { Platform } from '../core/platform.ts'
import type { ProblemCode } from '../core/problem.ts'
import { compileClaimPath, compileRequestAttribute } from '../core/request-attribute.ts'
import { readText } from '../lib/body.ts'
import type { Authenticated, Authenticator } from './authenticator.ts'
import { BEARER_CHALLENGE, bearerToken, isBearerToken, MAX_BEARER_CHARS } from './challenge.ts'
import type { IntrospectionProviderConfig } from './config/auth-provider.ts'
import { makeCredentialCache } from './credential-cache.ts'
import { introspectionIssuer } from './issuers.ts'
import { claimNames, claimTexts, parseJsonObject } from './jwt/compact-jws.ts'

const MAX_ENTRIES = 4096
const MAX_BYTES = 64 * 1024
const clientNetwork = compileRequestAttribute({ kind: 'ip' })

/** A provider of type `introspection`: bearer tokens that are checked at their issuer (RFC 7662). The results are cached. */
export function makeIntrospectionAuthenticator(
  name: string,
  config: IntrospectionProviderConfig,
  platform: Platform,
): Authenticator {
  const check = compileCheck(name, config, platform)
  const configured = check !== undefined
  const cache = makeCredentialCache({
    check: async (token) => (check === undefined ? 'not-configured' : check(token)),
    unavailable: 'introspection-unavailable',
    ttlMs: config.cacheTtl,
    maxEntries: MAX_ENTRIES,
    now: platform.now,
  })
  return {
    name,
    configured,
    challenge: BEARER_CHALLENGE,
    missing: 'token-missing',
    discloses: config.discloseRequirements,
    hides: undefined,
    recall(x, now) {
      const token = bearerToken(x)
      return token === undefined ? undefined : cache.recall(token, now, x.waitUntil)
    },
    async authenticate(x) {
      const token = bearerToken(x)
      if (token === undefined) return undefined
      if (!configured) return 'not-configured'
      if (token.length > MAX_BEARER_CHARS) return 'token-too-large'
      return isBearerToken(token) ? cache.check(token, clientNetwork(x) ?? '') : 'bearer-malformed'
    },
  }
}

/** The check of a token at its issuer; undefined when the URL or the secret is not configured. */
function compileCheck(
  name: string,
  config: IntrospectionProviderConfig,
  platform: Platform,
): ((token: string) => Promise<Authenticated | ProblemCode>) | undefined {
  const url = resolveUrl(config.url, platform.variable, isDocumentUrl)
  const secret = platform.secret(config.clientSecret)
  if (url === undefined || secret === undefined) return undefined
  const authorization = basicCredentials(config.clientId, secret)
  const toIdentity = compileIntrospectedIdentity(name, config, url)
  return async (token) => {
    const introspected = await introspect(token, url, authorization, config.timeout, platform.fetch)
    return introspected === undefined ? 'introspection-unavailable' : toIdentity(introspected, platform.now())
  }
}

/** The issuer's response; undefined when there is none: network, timeout, a redirect, another status than 200, too large, no JSON object, or a member name twice in one. */
async function introspect(
  token: string,
  url: string,
  authorization: string,
  timeoutMs: number,
  fetch: Platform['fetch'],
): Promise<Introspected | undefined> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { accept: 'application/json', authorization },
      body: new URLSearchParams({ token, token_type_hint: 'access_token' }),
      // A redirect that is followed would disclose the token and the gateway's password to the controller of any page of the issuer's host.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    })
    if (response.status === 200) return parseJsonObject(await readText(response, MAX_BYTES))
    await response.body?.cancel()
    return undefined
  } catch {
    return undefined
  }
}

/** The Basic credentials of RFC 6749 §2.3.1: both parts are form-encoded first. */
function basicCredentials(id: string, secret: string): string {
  const encoded = (text: string) => new URLSearchParams({ '': text }).toString().slice(1)
  return `Basic ${btoa(`${encoded(id)}:${encoded(secret)}`)}`
}

/** The members of an introspection response (RFC 7662 §2.2). */
type Introspected = Readonly<Record<string, unknown>>

/** Compiles a provider's requirements: the identity in a response that meets them at `now` (epoch ms), or the code of the refusal. */
function compileIntrospectedIdentity(
  provider: string,
  config: IntrospectionProviderConfig,
  url: string,
): (introspected: Introspected, now: number) => Authenticated | ProblemCode {
  const scopes = compileClaimPath(config.scopesClaim)
  const roles = compileClaimPath(config.rolesClaim)
  const audiences = compileClaimPath(config.audienceClaim)
  const issuer = config.issuer ?? introspectionIssuer(url)
  return (introspected, now) => {
    if (introspected.active !== true) return 'token-inactive'
    const { iss = issuer, sub = '', exp, nbf } = introspected
    if (typeof iss !== 'string' || typeof sub !== 'string' || !isAccessToken(introspected)) return 'token-claims'
    if (!isTime(exp) || !isTime(nbf)) return 'token-claims'
    if (config.issuer !== undefined && iss !== config.issuer) return 'token-issuer'
    const isMeant = config.audience === undefined || [audiences(introspected)].flat().includes(config.audience)
    if (!isMeant) return 'token-audience'
    const [validFrom, validUntil] = [(nbf ?? -Infinity) * 1000, (exp ?? Infinity) * 1000]
    if (now >= validUntil) return 'token-expired'
    if (now < validFrom) return 'token-not-yet-valid'
    return {
      identity: {
        provider,
        issuer: iss,
        subject: sub,
        scopes: claimTexts(scopes(introspected)),
        roles: claimNames(roles(introspected)),
        claims: introspected,
      },
      validFrom,
      validUntil,
      headers: undefined,
    }
  }
}

/** Refresh tokens and tokens that are bound to a key can be active too; neither may be used as a bearer token. */
function isAccessToken({ token_type: type }: Introspected): boolean {
  return type === undefined || (typeof type === 'string' && /^(?:bearer|access_token)$/i.test(type))
}

const isTime = (value: unknown): value is number | undefined =>
  value === undefined || (typeof value === 'number' && Number.isFinite(value))
