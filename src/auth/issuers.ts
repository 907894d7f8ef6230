import { isDocumentUrl, resolveUrl } from '../config/schema/scalars.ts'
import type { AuthProviderConfig } from './config/auth-provider.ts'
import type { JwtProviderConfig } from './config/jwt.ts'

/** The provider whose tokens this gateway issues. */
export interface OwnIssuer {
  /** Its name in routes.json. */
  readonly name: string
  readonly config: JwtProviderConfig
}

/** All providers with `"keys": "self"`; a checked file has one at most. */
export function ownIssuersOf(providers: Readonly<Record<string, AuthProviderConfig>>): OwnIssuer[] {
  return Object.entries(providers).flatMap(([name, config]) =>
    config.type === 'jwt' && config.keys === 'self' ? [{ name, config }] : [],
  )
}

/** The one provider with `"keys": "self"`. Throws where there is none: the configuration check refuses routes that need it then. */
export function ownIssuerOf(providers: Readonly<Record<string, AuthProviderConfig>>): OwnIssuer {
  const [found] = ownIssuersOf(providers)
  if (found === undefined) throw new Error('no auth provider with "keys": "self"')
  return found
}

/**
 * The issuers of callers, as far as routes.json names them. A revocation of earlier tokens, signatures or certificates names one of them and a
 * subject. API keys are not among them: each is revoked by its id.
 */
export function issuersOf(
  authProviders: Readonly<Record<string, AuthProviderConfig>>,
  variable: (name: string) => string | undefined,
): string[] {
  const found = Object.entries(authProviders).flatMap(([name, config]) => issuersOfOne(name, config, variable))
  return [...new Set(found)]
}

function issuersOfOne(
  name: string,
  config: AuthProviderConfig,
  variable: (name: string) => string | undefined,
): readonly string[] {
  switch (config.type) {
    case 'jwt':
      return [config.issuer]
    case 'introspection': {
      const url = resolveUrl(config.url, variable, isDocumentUrl)
      const issuer = config.issuer ?? (url && introspectionIssuer(url))
      return issuer === undefined ? [] : [issuer]
    }
    case 'httpSignature':
      return [name]
    case 'mtls':
      return config.issuers ?? []
    case 'apiKey':
      return []
  }
}

/** The issuer of introspected tokens where the provider names none. */
export const introspectionIssuer = (url: string): string => new URL(url).origin
