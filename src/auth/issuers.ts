import type { AuthProviderConfig } from './config/auth-provider.ts'
import { isDocumentUrl, resolveUrl } from '../config/schema/scalars.ts'
import type { Platform } from '../core/platform.ts'

/**
 * The issuers of callers that a site's providers establish, so far as routes.json says them: with a subject they name whose tokens, signatures or
 * certificates so far are revoked. API keys are not among them: each is revoked by its id.
 */
export function issuersOf({ authProviders, variable }: Pick<Platform, 'authProviders' | 'variable'>): string[] {
  const found = Object.entries(authProviders).flatMap(([name, config]) => issuersOfOne(name, config, variable))
  return [...new Set(found)]
}

function issuersOfOne(name: string, config: AuthProviderConfig, variable: Platform['variable']): readonly string[] {
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

/** Who stands for the issuer of introspected tokens where the provider names none. */
export const introspectionIssuer = (url: string): string => new URL(url).origin
