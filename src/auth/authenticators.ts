import type { Site } from '../core/policy.ts'
import type { Authenticator } from './authenticator.ts'
import { makeApiKeys } from './api-key.ts'
import { makeHttpSignature } from './http-signature.ts'
import { makeIntrospection } from './introspection.ts'
import { makeJwt } from './jwt.ts'
import { makeMtls } from './mtls.ts'

const authenticators = new WeakMap<Site, Map<string, Authenticator>>()

/** The authenticator of the provider `name`, one for all routes of a site: keys are fetched once, and a token verified once. */
export function authenticatorOf(site: Site, name: string): Authenticator {
  const ofSite = authenticators.get(site) ?? new Map<string, Authenticator>()
  authenticators.set(site, ofSite)
  const known = ofSite.get(name) ?? makeAuthenticator(name, site)
  ofSite.set(name, known)
  return known
}

function makeAuthenticator(name: string, site: Site): Authenticator {
  const config = site.authProviders[name]!
  switch (config.type) {
    case 'jwt':
      return makeJwt(name, config, site)
    case 'apiKey':
      return makeApiKeys(name, config, site)
    case 'mtls':
      return makeMtls(name, config)
    case 'httpSignature':
      return makeHttpSignature(name, config, site)
    case 'introspection':
      return makeIntrospection(name, config, site)
  }
}
