import * as z from 'zod/mini'
import { MAX_KEY_MEMORY_MS } from '../../identity/bounds.ts'
import { revocation, disclosure } from './revocation.ts'
import { doc, duration, expected, headerName } from '../../config/schema/scalars.ts'

/** Headers with a meaning of their own: a key in one of them would be read, rewritten or logged as something else. */
const NOT_FOR_KEYS =
  /^(?:authorization|cookie|host|origin|referer|user-agent|accept.*|content-.*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|range|if-.*|forwarded|x-forwarded-.*|proxy-.*|cf-.*|sec-.*|traceparent|tracestate|signature|signature-input)$/

/** The schema of a provider of type `apiKey`. */
export const apiKeyProvider = z.strictObject({
  type: doc(z.literal('apiKey'), 'Keys that this gateway gave out; it stores their hashes only.'),
  header: doc(
    z.prefault(
      headerName.check(
        z.refine((name) => !NOT_FOR_KEYS.test(name), expected('expected a header of your own, such as x-api-key')),
      ),
      'x-api-key',
    ),
    'The header that carries the key, and that no origin behind the route gets. Keys in URLs are not taken: URLs are logged. Default x-api-key.',
  ),
  cacheTtl: doc(
    z.prefault(duration(1_000, MAX_KEY_MEMORY_MS), '30s'),
    'How long an isolate believes what the store said of a key; one that is revoked stops within 5 s all the same. In use it is asked about again at half of that, while requests go on. From 1s to 1h, default 30s.',
  ),
  ...disclosure,
  ...revocation,
})

/** A checked provider of type `apiKey`; durations in milliseconds. */
export type ApiKeyProviderConfig = z.output<typeof apiKeyProvider>
