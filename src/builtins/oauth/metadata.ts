import { selfProvider } from '../../auth/config/own-issuer.ts'
import type { Handler } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { compileEndpoint } from './endpoint.ts'

const WITH_SECRET = ['client_secret_basic', 'client_secret_post']
const WITHOUT = [...WITH_SECRET, 'none']

/** What clients may know of this authorization server (RFC 8414 §2); addresses are those of this file's routes at the issuer's own. */
export function makeMetadata({ authProviders, oauthPaths }: Platform): Handler {
  const { issuer, tokens } = selfProvider(authProviders).config
  const at = (path: string | undefined) => path && new URL(path, issuer).href
  const { token, revoke, introspect, jwks } = oauthPaths
  const body = JSON.stringify({
    issuer,
    token_endpoint: at(token),
    jwks_uri: at(jwks),
    // Required although there is no authorization endpoint.
    response_types_supported: [],
    grant_types_supported: tokens.grants,
    token_endpoint_auth_methods_supported: WITHOUT,
    ...(revoke && { revocation_endpoint: at(revoke), revocation_endpoint_auth_methods_supported: WITHOUT }),
    ...(introspect && {
      introspection_endpoint: at(introspect),
      introspection_endpoint_auth_methods_supported: WITH_SECRET,
    }),
  })
  const headers = { 'content-type': 'application/json', 'cache-control': 'public, max-age=3600' }
  return compileEndpoint('GET', async () => new Response(body, { headers }))
}
