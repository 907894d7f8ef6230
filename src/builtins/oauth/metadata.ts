import { ownIssuerOf } from '../../auth/issuers.ts'
import type { Handler } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { problem } from '../../core/problem.ts'
import { signingKeysOf } from '../../identity/client.ts'
import { compileEndpoint } from './endpoint.ts'

const SECRET_METHODS = ['client_secret_basic', 'client_secret_post']
const ALL_METHODS = [...SECRET_METHODS, 'none']

/** The authorization server metadata (RFC 8414 §2). Endpoint URLs are the paths of the routes at the issuer's origin. */
export function makeMetadata({ authProviders, oauthPaths }: Platform): Handler {
  const { issuer, tokens } = ownIssuerOf(authProviders).config
  const urlOf = (path: string | undefined) => path && new URL(path, issuer).href
  const { token, revoke, introspect, jwks } = oauthPaths
  const body = JSON.stringify({
    issuer,
    token_endpoint: urlOf(token),
    jwks_uri: urlOf(jwks),
    // Required by RFC 8414 although there is no authorization endpoint.
    response_types_supported: [],
    grant_types_supported: tokens.grants,
    token_endpoint_auth_methods_supported: ALL_METHODS,
    ...(revoke && { revocation_endpoint: urlOf(revoke), revocation_endpoint_auth_methods_supported: ALL_METHODS }),
    ...(introspect && {
      introspection_endpoint: urlOf(introspect),
      introspection_endpoint_auth_methods_supported: SECRET_METHODS,
    }),
  })
  const headers = { 'content-type': 'application/json', 'cache-control': 'public, max-age=3600' }
  return compileEndpoint('GET', async () => new Response(body, { headers }))
}

/** Verifiers may accept a replaced key for this long. The next key is published much longer before it signs. */
const MAX_AGE_SECONDS = 300

/** The key set of the tokens that this gateway issues (RFC 7517 §5). */
export function makeJwksEndpoint(platform: Platform): Handler {
  const signingKeys = signingKeysOf(platform)
  return compileEndpoint('GET', async () => {
    const keys = await signingKeys()
    if (keys === undefined) return problem('state-unavailable', { headers: { 'retry-after': '1' } })
    return Response.json(
      { keys: keys.published },
      { headers: { 'cache-control': `public, max-age=${MAX_AGE_SECONDS}` } },
    )
  })
}
