import { cut, latestOf, type Ground } from './store.ts'
import type { Actor, AuditEntry, IdentityApi } from '../types.ts'

/** Appends an entry to the audit log, whose table refuses every change of one. */
export function makeAudit(sql: SqlStorage, now: () => number): Ground['audit'] {
  return (act, on, by, details = {}) => {
    const entry = { at: now(), by: short(by), act, on: cut(on), details }
    sql.exec('INSERT INTO audit (at, data) VALUES (?, ?)', entry.at, JSON.stringify(entry))
  }
}

/** Most of what can be recorded at once, as JSON in characters: what is longer is somebody's data and no act. */
const MAX_DETAILS = 4_096

/** Reading the audit log, and writing down what was changed elsewhere. */
export function makeAuditLog({ sql, audit }: Ground): Pick<IdentityApi, 'auditLog' | 'recordAct'> {
  return {
    recordAct(act, on, details, by) {
      if (JSON.stringify(details).length > MAX_DETAILS)
        return `invalid: details: expected ${MAX_DETAILS} characters at most`
      audit(cut(act), on, by, details)
      return 'recorded'
    },
    auditLog: (ask) =>
      latestOf(sql, 'audit', ask, ({ seq, data }) => ({ seq, ...(JSON.parse(data) as Omit<AuditEntry, 'seq'>) })),
  }
}

function short({ provider, issuer, subject, client, request }: Actor): Actor {
  return {
    provider: cut(provider),
    issuer: cut(issuer),
    subject: cut(subject),
    client: cut(client),
    request: cut(request),
  }
}
