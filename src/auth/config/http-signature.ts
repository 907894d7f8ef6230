import * as z from 'zod/mini'
import { choice, distinct, doc, duration, expected, secretRef, size } from '../../config/schema/scalars.ts'
import { isFitKey } from '../../lib/key-strength.ts'
import { joseName, SIGNATURE_ALGORITHMS } from '../../signatures/algorithm.ts'
import { isPlainComponent } from '../../signatures/component.ts'
import { disclosure, revocation } from './revocation.ts'

const [HMAC, ...PUBLIC_KEY_ALGORITHMS] = SIGNATURE_ALGORITHMS

const KEYID_EXPECTED = 'expected 1 to 256 printable ASCII characters'
/** The name of a key in a signature; a structured-field string. */
export const keyid = z.string().check(z.regex(/^[\x20-\x7e]{1,256}$/, KEYID_EXPECTED))

const COMPONENT_EXPECTED =
  'expected a field name in lower case, @method, @target-uri, @authority, @scheme, @request-target, @path or @query'
/** A covered component: a field, or a derived component without a parameter (RFC 9421 §2.2). */
export const component = z.string().check(z.refine(isPlainComponent, expected(COMPONENT_EXPECTED)))

const PEM = /^-----BEGIN PUBLIC KEY-----[\sA-Za-z0-9+/=]+-----END PUBLIC KEY-----\s*$/

const ofKey = {
  keyid: doc(keyid, 'The `keyid` of its signatures; the subject of the caller.'),
  scopes: doc(z.prefault(z.array(z.string()).check(distinct()), []), 'The scopes of its owner. Default none.'),
  roles: doc(z.prefault(z.array(z.string()).check(distinct()), []), 'The roles of its owner. Default none.'),
}

const sharedKey = z.strictObject({
  alg: doc(z.literal(HMAC), 'An HMAC with a secret that both sides have.'),
  secret: doc(secretRef, 'At least 32 bytes of text.'),
  ...ofKey,
})

const publicKey = z
  .strictObject({
    alg: doc(
      choice(PUBLIC_KEY_ALGORITHMS),
      'The only algorithm for this key, also when a message names another one (RFC 9421 §3.3).',
    ),
    publicKey: z.optional(
      doc(
        z.string().check(z.regex(PEM, 'expected a public key in PEM (-----BEGIN PUBLIC KEY-----)')),
        'The public key, SubjectPublicKeyInfo in PEM.',
      ),
    ),
    jwk: z.optional(
      doc(z.record(z.string(), z.unknown()), 'The public key as a JWK (RFC 7517), in place of `publicKey`.'),
    ),
    ...ofKey,
  })
  .check(
    z.refine((key) => (key.publicKey === undefined) !== (key.jwk === undefined), {
      path: ['publicKey'],
      message: 'expected either "publicKey" or "jwk"',
    }),
    z.refine((key) => key.jwk === undefined || isFitKey(key.jwk, joseName(key.alg)), {
      path: ['jwk'],
      message: 'expected a public key for "alg", for signatures, RSA of at least 2048 bits',
    }),
  )

const signatureKey = z.discriminatedUnion('alg', [sharedKey, publicKey], expected('expected a key with an "alg"'))

/** The schema of a provider of type `httpSignature`. */
export const httpSignatureProvider = z.strictObject({
  type: doc(z.literal('httpSignature'), 'Requests that are signed as a whole (RFC 9421).'),
  components: doc(
    z.prefault(z.array(component).check(z.minLength(1), distinct()), ['@method', '@target-uri', 'content-digest']),
    'The components that a signature must cover at least, without parameters; `content-digest` (RFC 9530) only where there is a body. Default @method, @target-uri, content-digest.',
  ),
  maxAge: doc(
    z.prefault(duration(1_000, 3_600_000), '5m'),
    'How long after `created`, which every signature must have, it is valid; `expires` can only shorten that. Default 5m.',
  ),
  clockSkew: doc(
    z.prefault(duration(0, 300_000), '30s'),
    'How far the clocks may differ for `created` and `expires`. Default 30s.',
  ),
  requireNonce: doc(
    z.prefault(z.boolean(), true),
    'Whether a signature needs a `nonce`. A nonce is accepted once, in all regions together; without it a request can be replayed until it is too old. Default true.',
  ),
  maxBody: doc(
    z.prefault(size(), '1mb'),
    'The largest body that is read to compare its digest; more is 413. Default 1mb.',
  ),
  keys: doc(
    z.array(signatureKey).check(
      z.minLength(1, 'expected at least one key'),
      z.check(({ value, issues }) => {
        value.forEach((key, i) => {
          if (value.findIndex((other) => other.keyid === key.keyid) < i)
            issues.push({ code: 'custom', input: key.keyid, path: [i, 'keyid'], message: 'stands twice' })
        })
      }),
    ),
    'The keys of the callers.',
  ),
  ...disclosure,
  ...revocation,
})

/** A checked provider of type `httpSignature`; durations in milliseconds, sizes in bytes. */
export type HttpSignatureProviderConfig = z.output<typeof httpSignatureProvider>
/** One of its keys. */
export type SignatureKeyConfig = HttpSignatureProviderConfig['keys'][number]
