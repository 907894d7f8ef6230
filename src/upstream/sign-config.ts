import * as z from 'zod/mini'
import { SIGNATURE_ALGORITHMS } from '../signatures/algorithm.ts'
import { component, keyid } from '../auth/config/http-signature.ts'
import { choice, distinct, doc, duration, expected, secretRef, size } from '../config/schema/scalars.ts'

/** What the gateway, or the runtime, writes while a try is on its way, or drops with its connection. */
const UNSTEADY =
  /^(?:host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|content-length|traceparent|tracestate|x-attempt|x-request-timeout-ms|signature|signature-input)$/

/** The schema of an upstream's `sign`. */
export const sign = z
  .strictObject({
    keyid: doc(keyid, 'What the origin knows the key by.'),
    alg: doc(choice(SIGNATURE_ALGORITHMS), 'hmac-sha256 goes with `secret`, every other one with `key`.'),
    secret: z.optional(doc(secretRef, 'The secret shared with the origin: at least 32 bytes of text.')),
    key: z.optional(doc(secretRef, 'The private key, PKCS #8 in PEM (-----BEGIN PRIVATE KEY-----).')),
    components: doc(
      z.prefault(
        z
          .array(
            component.check(
              z.refine((name) => !UNSTEADY.test(name), expected('expected a field that stays as it is on its way')),
            ),
          )
          .check(z.minLength(1), distinct()),
        ['@method', '@target-uri', 'content-digest'],
      ),
      'What is covered; fields that a request does not have are left out. content-digest is added to requests whose body is known whole. Default @method, @target-uri, content-digest.',
    ),
    maxAge: doc(
      z.prefault(duration(1_000, 3_600_000), '1m'),
      'From `created` to `expires`, in whole seconds. Default 1m.',
    ),
    maxBody: doc(
      z.prefault(size(), '64kb'),
      'Bodies up to this that say their length are read whole before they are sent, so that their digest is covered; others stream, and are not. Default 64kb.',
    ),
  })
  .check(
    z.refine(({ alg, secret, key }) => (alg === 'hmac-sha256' ? secret && !key : key && !secret), {
      path: ['alg'],
      message: 'expected "hmac-sha256" with "secret" alone, or another algorithm with "key" alone',
    }),
  )

/** A checked `sign`; durations in milliseconds, sizes in bytes. */
export type SignConfig = z.output<typeof sign>
