import { importJWK, SignJWT } from 'jose'
import { signingKeysOf } from '../../identity/client.ts'
import { ownIssuerOf } from '../../auth/config/auth-provider.ts'
import type { Platform } from '../../core/platform.ts'
import { oauthError } from './endpoint.ts'

/** Whom a token is for. */
export interface AccessTokenContent {
  readonly subject: string
  /** Undefined where a client acts for itself. */
  readonly username?: string
  /** `''` where the login named no client. */
  readonly clientId: string
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  /** The refresh family. */
  readonly sessionId?: string | undefined
  /** Before what is said here was read (epoch ms): whatever is revoked of it since then is revoked in this token too. */
  readonly asOf: number
}

/** Answers with a new access token (RFC 6749 §5.1, RFC 9068), beside `refreshToken` where there is one; 503 while there is no key. */
export type IssueAccessToken = (bearer: AccessTokenContent, refreshToken?: string) => Promise<Response>

/** For `builtin: token`: its access tokens (ES256) live for `accessTtl` from `asOf` on. Throws without a provider with `"keys": "self"`. */
export function makeAccessTokenIssuer(platform: Platform): IssueAccessToken {
  const { issuer, audience, tokens } = ownIssuerOf(platform.authProviders).config
  const ownKeys = signingKeysOf(platform)
  const expiresIn = Math.floor(tokens.accessTtl / 1000)
  return async ({ subject, username, clientId, scopes, roles, sessionId: sid, asOf }, refreshToken) => {
    const keys = await ownKeys()
    if (keys === undefined) return oauthError('state-unavailable')
    const { active } = keys
    const scope = scopes.join(' ')
    const issuedAt = Math.floor(asOf / 1000)
    // A login may have waited for seconds.
    const waited = Math.max(0, Math.floor((platform.now() - asOf) / 1000))
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
      expires_in: expiresIn - waited,
      ...(scope !== '' && { scope }),
      ...(refreshToken !== undefined && { refresh_token: refreshToken }),
    }
    return Response.json(body, { headers: { 'cache-control': 'no-store', pragma: 'no-cache' } })
  }
}
