import { perPlatformAndName, type Platform } from '../core/platform.ts'
import { makeApiKeys } from './api-key.ts'
import type { Authenticator } from './authenticator.ts'
import { makeHttpSignature } from './http-signature.ts'
import { makeIntrospection } from './introspection.ts'
import { makeJwt } from './jwt/jwt.ts'
import { makeMtls } from './mtls.ts'

/** The authenticator of a provider, by its name. The routes of a platform share it, so that keys are fetched and a token is verified once. */
export const authenticatorOf = perPlatformAndName(makeAuthenticator)

function makeAuthenticator(platform: Platform, name: string): Authenticator {
  const config = platform.authProviders[name]!
  switch (config.type) {
    case 'jwt':
      return makeJwt(name, config, platform)
    case 'apiKey':
      return makeApiKeys(name, config, platform)
    case 'mtls':
      return makeMtls(name, config)
    case 'httpSignature':
      return makeHttpSignature(name, config, platform)
    case 'introspection':
      return makeIntrospection(name, config, platform)
  }
}
