import * as z from 'zod/mini'
import { apiKeyProvider } from './api-key.ts'
import { httpSignatureProvider } from './http-signature.ts'
import { introspectionProvider } from './introspection.ts'
import { checkJwtProvider, jwtProvider } from './jwt.ts'
import { expectedOneOf } from '../../config/schema/diagnostic.ts'
import { mtlsProvider } from './mtls.ts'

/** The schemas of all types of auth provider, in the order of the docs. */
export const AUTH_PROVIDERS = [
  jwtProvider,
  apiKeyProvider,
  introspectionProvider,
  mtlsProvider,
  httpSignatureProvider,
] as const

const TYPES = AUTH_PROVIDERS.map(({ shape }) => shape.type.def.values[0]!)

/** The schema of one entry of `authProviders`. */
export const authProvider = z.discriminatedUnion('type', AUTH_PROVIDERS, {
  error: ({ input }) => {
    const type = (input as { type?: unknown } | null | undefined)?.type
    return expectedOneOf(typeof type === 'string' ? type : '', TYPES)
  },
})

/** A checked auth provider; durations in milliseconds. */
export type AuthProviderConfig = z.output<typeof authProvider>

/** Contradictions inside one provider, as [key, message]; `written` is the same before its defaults were filled in. */
export function checkAuthProvider(
  config: AuthProviderConfig,
  written: z.input<typeof authProvider>,
): [key: string, message: string][] {
  return config.type === 'jwt' && written.type === 'jwt' ? checkJwtProvider(config, written) : []
}
