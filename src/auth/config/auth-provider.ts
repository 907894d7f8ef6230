import * as z from 'zod/mini'
import { expectedOneOf } from '../../config/schema/diagnostic.ts'
import {
  distinct,
  doc,
  documentUrlOrEnv,
  duration,
  expected,
  headerName,
  secretRef,
} from '../../config/schema/scalars.ts'
import { claimPath } from '../../core/request-attribute.ts'
import { MAX_API_KEY_CACHE_MS } from '../../identity/store-limits.ts'
import { parseDistinguishedName } from '../../lib/distinguished-name.ts'
import { httpSignatureProvider } from './http-signature.ts'
import { checkJwtProvider, jwtProvider } from './jwt.ts'
import { disclosure, revocation } from './revocation.ts'
const NAME_EXPECTED = 'expected a distinguished name (RFC 4514) such as "CN=partner,O=Acme"'

/** Headers with another meaning: a key in one of them would be processed, rewritten or logged as something else. */
const NOT_FOR_KEYS =
  /^(?:authorization|cookie|host|origin|referer|user-agent|accept.*|content-.*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|range|if-.*|forwarded|x-forwarded-.*|proxy-.*|cf-.*|sec-.*|traceparent|tracestate|signature|signature-input)$/

/** The schema of a provider of type `apiKey`. */
const apiKeyProvider = z.strictObject({
  type: doc(z.literal('apiKey'), 'Keys that this gateway gave out; it stores their hashes only.'),
  header: doc(
    z.prefault(
      headerName.check(
        z.refine((name) => !NOT_FOR_KEYS.test(name), expected('expected a header of your own, such as x-api-key')),
      ),
      'x-api-key',
    ),
    'The header with the key. Origins do not receive it. Keys in URLs are not accepted, because URLs are logged. Default x-api-key.',
  ),
  cacheTtl: doc(
    z.prefault(duration(1_000, MAX_API_KEY_CACHE_MS), '30s'),
    'How long an isolate caches the store’s result for a key; a revoked key is refused within 5 s all the same. A key in use is checked again in the background at half of that. From 1s to 1h, default 30s.',
  ),
  ...disclosure,
  ...revocation,
})

const subject = z
  .string(expected(NAME_EXPECTED))
  .check(z.refine((text) => parseDistinguishedName(text) !== undefined, expected(NAME_EXPECTED)))

/** The schema of a provider of type `mtls`. */
const mtlsProvider = z.strictObject({
  type: doc(
    z.literal('mtls'),
    'Client certificates that Cloudflare verified (API Shield mTLS). Elsewhere its routes respond with 503: headers about a certificate are never used.',
  ),
  subjects: doc(
    z.array(subject).check(z.minLength(1, 'expected at least one subject'), distinct()),
    'The accepted subjects, each a whole name: `CN=partner` does not match `CN=partner,O=Acme`. Compared part by part, in the notation of RFC 4514.',
  ),
  issuers: z.optional(
    doc(
      z.array(subject).check(z.minLength(1), distinct()),
      'The accepted issuers of the certificate, in the same form. Default: every authority with which Cloudflare verifies.',
    ),
  ),
  ...disclosure,
  ...revocation,
})

const text = z.string().check(z.minLength(1))

/** The schema of a provider of type `introspection`. */
const introspectionProvider = z.strictObject({
  type: doc(
    z.literal('introspection'),
    'Bearer tokens, opaque or not, that are checked at their issuer (RFC 7662). Every token that no earlier provider in a route’s list accepted is checked there.',
  ),
  url: doc(documentUrlOrEnv, 'The introspection endpoint. Redirects are not followed.'),
  clientId: doc(text, 'Who the gateway is to the issuer.'),
  clientSecret: doc(secretRef, 'Its password there, sent as HTTP Basic (RFC 6749 §2.3.1).'),
  issuer: z.optional(
    doc(
      text,
      'The exact `iss` of its tokens; a response with another `iss` is refused. Default: the origin of the URL, and any `iss` is accepted.',
    ),
  ),
  audience: z.optional(
    doc(
      text,
      'The response’s `aud`, or the member of `audienceClaim`, must contain this. Default: it is not compared.',
    ),
  ),
  audienceClaim: doc(
    z.prefault(claimPath, 'aud'),
    'The member of the response that is compared with `audience`, as a path like that of `rolesClaim`. Default aud.',
  ),
  timeout: doc(
    z.prefault(duration(10, 10_000), '1s'),
    'The timeout of a call to the issuer; after it the response is 503. Default 1s.',
  ),
  cacheTtl: doc(
    z.prefault(duration(1_000, 3_600_000), '30s'),
    'How long a result is cached, though never past the token’s `exp`: a revoked token may be accepted for that long. A token in use is checked again in the background at half of that. Default 30s.',
  ),
  rolesClaim: doc(
    z.prefault(claimPath, 'roles'),
    'The member of the response that lists roles: names joined by dots, or an array of names. Default roles.',
  ),
  scopesClaim: doc(
    z.prefault(claimPath, 'scope'),
    'The member of the response that lists scopes, as a path like that of `rolesClaim`. Default scope.',
  ),
  ...disclosure,
  ...revocation,
})

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
  if (config.type === 'jwt' && written.type === 'jwt') return checkJwtProvider(config, written)
  return written.type === 'introspection' && written.audienceClaim !== undefined && written.audience === undefined
    ? [['audienceClaim', 'has no use without "audience"']]
    : []
}

/** A checked provider of type `apiKey`; durations in milliseconds. */
export type ApiKeyProviderConfig = z.output<typeof apiKeyProvider>

/** A checked provider of type `mtls`. */
export type MtlsProviderConfig = z.output<typeof mtlsProvider>

/** A checked provider of type `introspection`; durations in milliseconds. */
export type IntrospectionProviderConfig = z.output<typeof introspectionProvider>
