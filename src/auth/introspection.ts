import { isDocumentUrl, resolveUrl } from '../config/schema/scalars.ts'
import type { Platform } from '../core/platform.ts'
import type { ProblemCode } from '../core/problem.ts'
import { compileClaimPath } from '../core/request-attribute.ts'
import { readText } from '../lib/body.ts'
import type { Authenticated, Authenticator } from './authenticator.ts'
import { BEARER_CHALLENGE, bearerToken, isBearerToken } from './challenge.ts'
import type { IntrospectionProviderConfig } from './config/auth-provider.ts'
import { makeCredentialCache } from './credential-cache.ts'
import { introspectionIssuer } from './issuers.ts'
import { claimNames, claimTexts } from './jwt/compact-jws.ts'

const MAX_ENTRIES = 4096
const MAX_BYTES = 64 * 1024
const MAX_TOKEN_CHARS = 8 * 1024

/** A provider of type `introspection`: bearer tokens that their issuer is asked about (RFC 7662). Its answers are remembered. */
export function makeIntrospectionAuthenticator(
  name: string,
  config: IntrospectionProviderConfig,
  platform: Platform,
): Authenticator {
  const url = resolveUrl(config.url, platform.variable, isDocumentUrl)
  const secret = platform.secret(config.clientSecret)
  const configured = url !== undefined && secret !== undefined
  const judge = configured ? compileIntrospectedIdentity(name, config, url) : undefined
  const answers = makeCredentialCache({
    async ask(token) {
      if (!judge) return 'not-configured'
      const found = await introspect(
        token,
        url!,
        basicCredentials(config.clientId, secret!),
        config.timeout,
        platform.fetch,
      )
      return found === undefined ? 'introspection-unavailable' : judge(found, platform.now())
    },
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
      return token === undefined ? undefined : answers.recall(token, now, x.waitUntil)
    },
    async authenticate(x) {
      const token = bearerToken(x)
      if (token === undefined) return undefined
      if (!configured) return 'not-configured'
      if (!isBearerToken(token)) return 'bearer-malformed'
      return token.length <= MAX_TOKEN_CHARS ? answers.ask(token) : 'token-malformed'
    },
  }
}

/** The issuer's answer; undefined when there is none: network, timeout, a redirect, another status than 200, too large, no JSON object. */
async function introspect(
  token: string,
  url: string,
  authorization: string,
  timeoutMs: number,
  fetch: Platform['fetch'],
): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { accept: 'application/json', authorization },
      body: new URLSearchParams({ token, token_type_hint: 'access_token' }),
      // Followed, a redirect would hand the token and the gateway's password to whoever controls one page of the issuer's host.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    })
    if (response.status === 200) return parseIntrospected(await readText(response, MAX_BYTES))
    await response.body?.cancel()
    return undefined
  } catch {
    return undefined
  }
}

/** RFC 6749 §2.3.1: both parts are form-encoded before they are put together. */
function basicCredentials(id: string, secret: string): string {
  const encoded = (text: string) => new URLSearchParams({ '': text }).toString().slice(1)
  return `Basic ${btoa(`${encoded(id)}:${encoded(secret)}`)}`
}

/** The members of an introspection answer (RFC 7662 §2.2). */
type Introspected = Readonly<Record<string, unknown>>

/** The object in a JSON text; undefined when it holds something else. Throws when it is no JSON. */
export function parseIntrospected(json: string): Introspected | undefined {
  const value: unknown = JSON.parse(json)
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Introspected) : undefined
}

/** Compiles what a provider wants of an answer into a judge of answers at `now` (epoch ms). */
export function compileIntrospectedIdentity(
  provider: string,
  config: IntrospectionProviderConfig,
  url: string,
): (found: Introspected, now: number) => Authenticated | ProblemCode {
  const scopes = compileClaimPath(config.scopesClaim)
  const roles = compileClaimPath(config.rolesClaim)
  const issuer = config.issuer ?? introspectionIssuer(url)
  return (found, now) => {
    if (found.active !== true) return 'token-inactive'
    const { iss = issuer, sub = '', exp, nbf } = found
    if (typeof iss !== 'string' || typeof sub !== 'string' || !isAccessToken(found)) return 'token-claims'
    if (!isTime(exp) || !isTime(nbf)) return 'token-claims'
    if (config.issuer !== undefined && iss !== config.issuer) return 'token-issuer'
    if (config.audience !== undefined && ![found.aud].flat().includes(config.audience)) return 'token-audience'
    const [validFrom, validUntil] = [(nbf ?? -Infinity) * 1000, (exp ?? Infinity) * 1000]
    if (now >= validUntil) return 'token-expired'
    if (now < validFrom) return 'token-not-yet-valid'
    return {
      identity: {
        provider,
        issuer: iss,
        subject: sub,
        scopes: claimTexts(scopes(found)),
        roles: claimNames(roles(found)),
        claims: found,
      },
      validFrom,
      validUntil,
      headers: undefined,
    }
  }
}

/** Issuers find refresh tokens active too, and tokens bound to a key; neither may be used as a bearer token. */
function isAccessToken({ token_type: type }: Introspected): boolean {
  return type === undefined || (typeof type === 'string' && /^(?:bearer|access_token)$/i.test(type))
}

const isTime = (value: unknown): value is number | undefined =>
  value === undefined || (typeof value === 'number' && Number.isFinite(value))
