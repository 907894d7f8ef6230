import * as z from 'zod/mini'
import { doc } from '../../config/schema/scalars.ts'

/** The field that auth providers of every type have. */
export const disclosure = {
  discloseRequirements: doc(
    z.prefault(z.boolean(), false),
    'Whether a 403 names the scopes or roles that the caller lacks. Default false: it says only that something is missing.',
  ),
}
