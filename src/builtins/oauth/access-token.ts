import { importJWK, SignJWT } from 'jose'
import { ownIssuerOf } from '../../auth/issuers.ts'
import type { Platform } from '../../core/platform.ts'
import { signingKeysOf } from '../../identity/client.ts'
import { oauthError } from './endpoint.ts'

/** The contents of a new access token. */
interface AccessTokenContent {
  readonly subject: string
  /** Undefined where an OAuth client acts for itself. */
  readonly username?: string
  /** `''` where the login named no OAuth client. */
  readonly clientId: string
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  /** The claim `sid`. */
  readonly sessionId?: string | undefined
  /** A time before these values were read, in epoch milliseconds. It becomes `iat`, so that a revocation made since then covers this token. */
  readonly asOf: number
}

/** The response with a new access token (RFC 6749 §5.1, RFC 9068) and with `refreshToken` if given; 503 while no signing key is available. */
type IssueAccessToken = (content: AccessTokenContent, refreshToken?: string) => Promise<Response>

/** Makes the issuer of access tokens (ES256), valid for `accessTtl` from `asOf` on. Throws without a provider with `"keys": "self"`. */
export function makeAccessTokenIssuer(platform: Platform): IssueAccessToken {
  const { issuer, audience, tokens } = ownIssuerOf(platform.authProviders).config
  const signingKeys = signingKeysOf(platform)
  const expiresIn = Math.floor(tokens.accessTtl / 1000)
  return async ({ subject, username, clientId, scopes, roles, sessionId: sid, asOf }, refreshToken) => {
    const keys = await signingKeys()
    if (keys === undefined) return oauthError('state-unavailable')
    const { active } = keys
    const scope = scopes.join(' ')
    const issuedAt = Math.floor(asOf / 1000)
    // A login may have been delayed for seconds.
    const waitedSeconds = Math.max(0, Math.floor((platform.now() - asOf) / 1000))
    const claims = {
      iss: issuer,
      aud: audience,
      sub: subject,
      iat: issuedAt,
      exp: issuedAt + expiresIn,
      jti: crypto.randomUUID(),
      ...(clientId !== '' && { client_id: clientId }),
      ...(username !== undefined && { username }),
      ...(sid !== undefined && { sid }),
      scope,
      roles,
    }
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: active.kid, typ: 'at+jwt' })
      .sign(await importJWK({ ...active }, 'ES256'))
    const body = {
      access_token: token,
      token_type: 'bearer',
      expires_in: expiresIn - waitedSeconds,
      ...(scope !== '' && { scope }),
      ...(refreshToken !== undefined && { refresh_token: refreshToken }),
    }
    return Response.json(body, { headers: { 'cache-control': 'no-store', pragma: 'no-cache' } })
  }
}
