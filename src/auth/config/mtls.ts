import * as z from 'zod/mini'
import { parseDistinguishedName } from '../../lib/distinguished-name.ts'
import { revocation, disclosure } from './revocation.ts'
import { distinct, doc, expected } from '../../config/schema/scalars.ts'

const NAME_EXPECTED = 'expected a distinguished name (RFC 4514) such as "CN=partner,O=Acme"'

const subject = z
  .string(expected(NAME_EXPECTED))
  .check(z.refine((text) => parseDistinguishedName(text) !== undefined, expected(NAME_EXPECTED)))

/** The schema of a provider of type `mtls`. */
export const mtlsProvider = z.strictObject({
  type: doc(
    z.literal('mtls'),
    'Client certificates that Cloudflare verified (API Shield mTLS). Elsewhere its routes answer 503: a header is never believed.',
  ),
  subjects: doc(
    z.array(subject).check(z.minLength(1, 'expected at least one subject'), distinct()),
    'The subjects that are let in, whole: `CN=partner` does not admit `CN=partner,O=Acme`. Compared part by part, as RFC 4514 writes names.',
  ),
  issuers: z.optional(
    doc(
      z.array(subject).check(z.minLength(1), distinct()),
      'Who must have issued the certificate, in the same form. Default: every authority that Cloudflare verifies with.',
    ),
  ),
  ...disclosure,
  ...revocation,
})

/** A checked provider of type `mtls`. */
export type MtlsProviderConfig = z.output<typeof mtlsProvider>
