import * as z from 'zod/mini'
import { revocation, disclosure } from './revocation.ts'
import { doc, documentUrlOrEnv, duration, secretRef } from '../../config/schema/scalars.ts'

const text = z.string().check(z.minLength(1))

/** The schema of a provider of type `introspection`. */
export const introspectionProvider = z.strictObject({
  type: doc(
    z.literal('introspection'),
    'Bearer tokens, opaque or not, that their issuer is asked about (RFC 7662). It is asked for every token that no provider before it in a route’s list took.',
  ),
  url: doc(documentUrlOrEnv, 'The introspection endpoint. Redirects are not followed.'),
  clientId: doc(text, 'Who the gateway is to the issuer.'),
  clientSecret: doc(secretRef, 'Its password there, sent as HTTP Basic (RFC 6749 §2.3.1).'),
  issuer: z.optional(
    doc(
      text,
      'The exact `iss` of its tokens; where the answer names one, it must be this. Default: the URL’s origin stands for it, and no `iss` is asked for.',
    ),
  ),
  audience: z.optional(doc(text, 'The answer’s `aud` must hold this. Default: it is not looked at.')),
  timeout: doc(
    z.prefault(duration(10, 10_000), '1s'),
    'How long the issuer may take; then the answer is 503. Default 1s.',
  ),
  cacheTtl: doc(
    z.prefault(duration(1_000, 3_600_000), '30s'),
    'How long an answer is believed, though never past the token’s `exp`: a revoked token may work for so long. In use it is asked again at half of that, while requests go on. Default 30s.',
  ),
  rolesClaim: doc(z.prefault(z.string(), 'roles'), 'The member of the answer that lists roles. Default roles.'),
  scopesClaim: doc(z.prefault(z.string(), 'scope'), 'The member of the answer that lists scopes. Default scope.'),
  ...disclosure,
  ...revocation,
})

/** A checked provider of type `introspection`; durations in milliseconds. */
export type IntrospectionProviderConfig = z.output<typeof introspectionProvider>
