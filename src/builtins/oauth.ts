import type { OAuthBuiltin } from '../core/oauth-paths.ts'
import type { Handler } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import { makeIntrospect } from './oauth/introspect.ts'
import { makeMetadata, makeJwksEndpoint } from './oauth/metadata.ts'
import { makeRevoke } from './oauth/revoke.ts'
import { makeToken } from './oauth/token.ts'
import { makeUserinfo } from './oauth/userinfo.ts'

const MAKERS: Readonly<Record<OAuthBuiltin, (platform: Platform) => Handler>> = {
  token: makeToken,
  revoke: makeRevoke,
  introspect: makeIntrospect,
  userinfo: makeUserinfo,
  jwks: makeJwksEndpoint,
  metadata: makeMetadata,
}

/** The OAuth endpoints of the provider with `"keys": "self"`. */
export function makeOAuth(builtin: OAuthBuiltin, platform: Platform): Handler {
  return MAKERS[builtin](platform)
}
