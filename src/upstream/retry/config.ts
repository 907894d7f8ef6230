import * as z from 'zod/mini'
import { doc, duration, percent } from '../../config/schema/scalars.ts'

/** What keeps tries beyond the first from multiplying the load; hedges without `retry` have its defaults. */
export const retryBudget = z.strictObject({
  percent: doc(
    z.prefault(percent, 20),
    'How many retries the requests of the window allow, in per cent of them. Default 20.',
  ),
  window: doc(z.prefault(duration(1_000), '10s'), 'How long a request counts. Default 10s.'),
  minPerSecond: doc(
    z.prefault(z.number().check(z.gte(0)), 3),
    'Retries a second that are allowed however few the requests are. Default 3.',
  ),
})
