import type { AuditRetention, IdentityApi } from '../api.ts'
import { DEFAULT_AUDIT_RETENTION, STORE_LIMITS } from '../store-limits.ts'
import type { Actor, AuditEntry } from '../types.ts'
import { auditRetention, invalidField } from './schema.ts'
import { newestPageOf, type StoreContext } from './store-context.ts'

/** The names in `meta` of the retention, and of the number of the oldest row that is kept. */
const RETENTION = 'audit-retention'
const KEPT_FROM = 'audit-kept-from'

/** The most rows that one run deletes, so that it does not hold up the calls of the object. */
const MAX_DELETED = 20_000

/** Deletes the rows that the retention no longer keeps, the oldest first, in runs of 20,000. */
export function pruneAudit(sql: SqlStorage, now: number): void {
  const { maxAgeMs, maxRows } = retentionOf(sql)
  const last = sql.exec<{ seq: number | null }>('SELECT MAX(seq) AS seq FROM audit').one().seq ?? 0
  const oldest = 'SELECT seq, at FROM audit ORDER BY seq LIMIT ?'
  const expired = sql
    .exec<{ seq: number | null }>(
      `SELECT MAX(seq) AS seq FROM (${oldest}) WHERE at < ? OR seq <= ?`,
      MAX_DELETED,
      now - maxAgeMs,
      last - maxRows,
    )
    .one().seq
  if (expired === null) return
  setMeta(sql, KEPT_FROM, String(expired + 1))
  sql.exec('DELETE FROM audit WHERE seq <= ?', expired)
}

function retentionOf(sql: SqlStorage): AuditRetention {
  const [row] = sql.exec<{ value: string }>('SELECT value FROM meta WHERE name = ?', RETENTION).toArray()
  return row === undefined ? DEFAULT_AUDIT_RETENTION : (JSON.parse(row.value) as AuditRetention)
}

function setMeta(sql: SqlStorage, name: string, value: string): void {
  sql.exec('INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)', name, value)
}

/** A text from a caller, cut to the length that the store accepts. */
function truncate(text: string): string {
  return text.slice(0, STORE_LIMITS.textLength)
}

/** Makes the function that appends to the audit log. The table refuses updates, and deletions but those of `pruneAudit`. */
export function makeAuditWriter(sql: SqlStorage, now: () => number): StoreContext['audit'] {
  return (act, on, by, details = {}) => {
    const entry = { at: now(), by: truncateActor(by), act, on: truncate(on), details }
    sql.exec('INSERT INTO audit (at, data) VALUES (?, ?)', entry.at, JSON.stringify(entry))
  }
}

/** The maximum length of the details of one recorded change, as JSON in characters. */
const MAX_DETAILS = 4_096

/** Makes the operations on the audit log: reading it, its retention, and recording changes made outside the store. */
export function makeAuditReader({
  sql,
  audit,
}: StoreContext): Pick<IdentityApi, 'auditLog' | 'recordChange' | 'setAuditRetention'> {
  return {
    setAuditRetention(retention) {
      const invalid = invalidField(auditRetention, retention)
      if (invalid) return invalid
      setMeta(sql, RETENTION, JSON.stringify(retention))
      return 'set'
    },
    recordChange(act, on, details, by) {
      if (JSON.stringify(details).length > MAX_DETAILS)
        return `invalid: details: expected ${MAX_DETAILS} characters at most`
      audit(truncate(act), on, by, details)
      return 'recorded'
    },
    auditLog: (request) =>
      newestPageOf(sql, 'audit', request, ({ seq, data }) => ({
        seq,
        ...(JSON.parse(data) as Omit<AuditEntry, 'seq'>),
      })),
  }
}

function truncateActor({ provider, issuer, subject, client, request }: Actor): Actor {
  return {
    provider: truncate(provider),
    issuer: truncate(issuer),
    subject: truncate(subject),
    client: truncate(client),
    request: truncate(request),
  }
}
