import type { AuthProviderConfig } from './auth-provider.ts'
import type { JwtProviderConfig } from './jwt.ts'

/** The provider whose tokens this gateway issues. */
export interface SelfProvider {
  /** Its name in routes.json. */
  readonly name: string
  readonly config: JwtProviderConfig
}

/** All providers with `"keys": "self"`; a checked file has one at most. */
export function selfProviders(providers: Readonly<Record<string, AuthProviderConfig>>): SelfProvider[] {
  return Object.entries(providers).flatMap(([name, config]) =>
    config.type === 'jwt' && config.keys === 'self' ? [{ name, config }] : [],
  )
}

/** The one provider with `"keys": "self"`. Throws where there is none: the check of a file refuses routes that need it then. */
export function selfProvider(providers: Readonly<Record<string, AuthProviderConfig>>): SelfProvider {
  const [found] = selfProviders(providers)
  if (found === undefined) throw new Error('no auth provider with "keys": "self"')
  return found
}
