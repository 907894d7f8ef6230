import { makeApiKeys } from './api-keys.ts'
import { makeAudit, makeAuditLog } from './audit.ts'
import { makeClients } from './oauth-clients.ts'
import { makeFamilies } from './sessions.ts'
import { makeRevocations } from './revocations.ts'
import { makeSigningKeys } from './signing-keys.ts'
import type { Ground } from './store.ts'
import type { IdentityApi } from '../types.ts'
import { makeUsers } from './users.ts'

/** All that the store can be asked, and how it forgets what has ended. */
export interface Calls {
  readonly api: IdentityApi
  readonly prune: () => void
}

/** On tables that `openTables` has made; `now` in epoch milliseconds. Opens no transaction: the object does that around each call. */
export function makeCalls(sql: SqlStorage, now: () => number): Calls {
  const ground: Ground = { sql, now, audit: makeAudit(sql, now) }
  const revocations = makeRevocations(ground)
  const families = makeFamilies(ground, revocations)
  const apiKeys = makeApiKeys(ground, revocations)
  const api: IdentityApi = {
    ...makeUsers(ground, { families, apiKeys, revocations }),
    ...makeClients(ground, families),
    ...makeSigningKeys(ground),
    ...makeAuditLog(ground),
    ...apiKeys,
    ...families,
    ...revocations,
  }
  const parts = [revocations, families, apiKeys]
  return { api, prune: () => parts.forEach((part) => part.prune()) }
}
