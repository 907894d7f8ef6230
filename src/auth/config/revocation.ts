import * as z from 'zod/mini'
import { choice, doc } from '../../config/schema/scalars.ts'

/** The field of auth providers whose callers can be revoked: all of them. */
export const revocation = {
  onRevocationStoreError: doc(
    z.prefault(choice(['deny', 'allow']), 'deny'),
    'What happens when an isolate’s copy of the revocations is more than 5s old, because the identity store does not respond. deny: 503; allow: credentials that are not in the copy are accepted. No effect where no route has the builtin admin, token or revoke, because nothing can be revoked there. Default deny.',
  ),
}

/** The field that auth providers of every type have. */
export const disclosure = {
  discloseRequirements: doc(
    z.prefault(z.boolean(), false),
    'Whether a 403 names the scopes or roles that the caller lacks. Default false: it only states that one is missing.',
  ),
}
