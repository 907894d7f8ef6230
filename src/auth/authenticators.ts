import type { Platform } from '../core/platform.ts'
import type { Authenticator } from './authenticator.ts'
import { makeApiKeys } from './api-key.ts'
import { makeHttpSignature } from './http-signature.ts'
import { makeIntrospection } from './introspection.ts'
import { makeJwt } from './jwt/jwt.ts'
import { makeMtls } from './mtls.ts'

const authenticators = new WeakMap<Platform, Map<string, Authenticator>>()

/** The authenticator of the provider `name`, one for all routes of a platform: keys are fetched once, and a token verified once. */
export function authenticatorOf(platform: Platform, name: string): Authenticator {
  const ofPlatform = authenticators.get(platform) ?? new Map<string, Authenticator>()
  authenticators.set(platform, ofPlatform)
  const known = ofPlatform.get(name) ?? makeAuthenticator(name, platform)
  ofPlatform.set(name, known)
  return known
}

function makeAuthenticator(name: string, platform: Platform): Authenticator {
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
