import * as z from 'zod/mini'
import { choice, doc } from '../../config/schema/scalars.ts'

/** The field of auth providers whose callers can be revoked: all of them. */
export const revocation = {
  onRevocationStoreError: doc(
    z.prefault(choice(['deny', 'allow']), 'deny'),
    'What happens when an isolate has not heard for 5s who was revoked, because the identity store does not answer. deny: 503; allow: whoever was not known to be revoked is let in. Of no account where no route has the builtin admin, token or revoke: nobody can revoke there. Default deny.',
  ),
}

/** The field that auth providers of every type have. */
export const disclosure = {
  discloseRequirements: doc(
    z.prefault(z.boolean(), false),
    'Whether a 403 names the scopes or roles that the caller lacks. Default false: it says only that something is missing.',
  ),
}
