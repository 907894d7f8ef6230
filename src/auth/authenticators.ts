import { perPlatformAndName, type Platform } from '../core/platform.ts'
import { makeApiKeyAuthenticator } from './api-key.ts'
import type { Authenticator } from './authenticator.ts'
import { makeHttpSignatureAuthenticator } from './http-signature.ts'
import { makeIntrospectionAuthenticator } from './introspection.ts'
import { makeJwtAuthenticator } from './jwt/jwt.ts'
import { makeMtlsAuthenticator } from './mtls.ts'

/** The authenticator of a provider, by its name. The routes of a platform share it, so that keys are fetched and a token is verified once. */
export const authenticatorOf = perPlatformAndName(makeAuthenticator)

function makeAuthenticator(platform: Platform, name: string): Authenticator {
  const config = platform.authProviders[name]!
  switch (config.type) {
    case 'jwt':
      return makeJwtAuthenticator(name, config, platform)
    case 'apiKey':
      return makeApiKeyAuthenticator(name, config, platform)
    case 'mtls':
      return makeMtlsAuthenticator(name, config)
    case 'httpSignature':
      return makeHttpSignatureAuthenticator(name, config, platform)
    case 'introspection':
      return makeIntrospectionAuthenticator(name, config, platform)
  }
}
