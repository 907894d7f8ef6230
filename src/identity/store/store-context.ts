import { BOUNDS } from '../config.ts'
import { invalidField, pageAsk } from './schema.ts'
import type { Actor, Invalid, Page, PageRequest, AuditEntry, User, OAuthClient } from '../types.ts'
import type { IdentityApi } from '../api.ts'

/** What the parts of the identity store stand on. They run inside one transaction each; what throws there changes nothing. */
export interface StoreContext {
  readonly sql: SqlStorage
  /** Epoch milliseconds. */
  readonly now: () => number
  /** Appends to the audit log. `details` hold no secret. */
  readonly audit: (act: string, on: string, by: Actor, details?: Readonly<Record<string, unknown>>) => void
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS users (key TEXT PRIMARY KEY, hash TEXT NOT NULL, data TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS clients (key TEXT PRIMARY KEY, hash TEXT, data TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS api_keys (key TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, dies_at INTEGER, data TEXT NOT NULL);
  CREATE INDEX IF NOT EXISTS api_keys_of ON api_keys (owner, key);
  CREATE TABLE IF NOT EXISTS families (key TEXT PRIMARY KEY, hash TEXT NOT NULL, owner TEXT NOT NULL, dies_at INTEGER NOT NULL, data TEXT NOT NULL);
  CREATE INDEX IF NOT EXISTS families_of ON families (owner, key);
  CREATE TABLE IF NOT EXISTS revocations (seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, until INTEGER NOT NULL, data TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS signing_keys (kid TEXT PRIMARY KEY, signs_from INTEGER NOT NULL, data TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, data TEXT NOT NULL);
  CREATE TRIGGER IF NOT EXISTS audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'append-only'); END;
  CREATE TRIGGER IF NOT EXISTS audit_once BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, 'append-only'); END;
  CREATE TRIGGER IF NOT EXISTS audit_lasts BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'append-only'); END;
`

/** Makes the tables where there are none. */
export function openTables(sql: SqlStorage): void {
  sql.exec(TABLES)
}

/** The rows that a query finds, each with its `data` read. */
export function rowsOf<T>(sql: SqlStorage, query: string, ...bindings: SqlStorageValue[]): T[] {
  return sql
    .exec<{ data: string }>(query, ...bindings)
    .toArray()
    .map(({ data }) => JSON.parse(data) as T)
}

/** What `SELECT COUNT(*)` says of a table. */
export function countOf(sql: SqlStorage, table: string): number {
  return sql.exec<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`).one().n
}

/** Whether a table has that key. */
export function hasKey(sql: SqlStorage, table: 'users' | 'clients' | 'meta', key: string): boolean {
  const column = table === 'meta' ? 'name' : 'key'
  return sql.exec(`SELECT 1 FROM ${table} WHERE ${column} = ?`, key).toArray().length > 0
}

type Listed = 'users' | 'clients' | 'api_keys' | 'families'

/** One page of a table, by key; `owner` only where a table has owners. */
export function pageOf<T>(
  sql: SqlStorage,
  table: Listed,
  ask: PageRequest & { readonly owner?: string },
): Page<T> | Invalid {
  const flaw = invalidField(pageAsk, ask)
  if (flaw) return flaw
  const { after = '', limit = 50, owner } = ask
  const mine = owner === undefined ? '' : 'AND owner = ?'
  const query = `SELECT key, data FROM ${table} WHERE key > ? ${mine} ORDER BY key LIMIT ?`
  const bindings = [after, ...(owner === undefined ? [] : [owner]), limit + 1]
  const rows = sql.exec<{ key: string; data: string }>(query, ...bindings).toArray()
  const items = rows.slice(0, limit).map(({ data }) => JSON.parse(data) as T)
  return { items, next: rows.length > limit ? rows[limit - 1]!.key : undefined }
}

/** One page of a table that is numbered, newest first. */
export function latestOf<T>(
  sql: SqlStorage,
  table: 'audit' | 'revocations',
  ask: PageRequest,
  read: (row: { seq: number; data: string }) => T,
): Page<T> | Invalid {
  const before = Number(ask.after ?? Number.MAX_SAFE_INTEGER)
  const flaw = invalidField(pageAsk, ask) ?? (Number.isSafeInteger(before) ? undefined : 'invalid: after')
  if (flaw) return flaw
  const limit = ask.limit ?? 50
  const query = `SELECT seq, data FROM ${table} WHERE seq < ? ORDER BY seq DESC LIMIT ?`
  const rows = sql.exec<{ seq: number; data: string }>(query, before, limit + 1).toArray()
  const next = rows.length > limit ? String(rows[limit - 1]!.seq) : undefined
  return { items: rows.slice(0, limit).map(read), next }
}

/** A text that came from elsewhere, short enough to be kept. */
export function truncate(text: string): string {
  return text.slice(0, BOUNDS.text)
}

/** Appends an entry to the audit log, whose table refuses every change of one. */
export function makeAuditWriter(sql: SqlStorage, now: () => number): StoreContext['audit'] {
  return (act, on, by, details = {}) => {
    const entry = { at: now(), by: short(by), act, on: truncate(on), details }
    sql.exec('INSERT INTO audit (at, data) VALUES (?, ?)', entry.at, JSON.stringify(entry))
  }
}

/** Most of what can be recorded at once, as JSON in characters: what is longer is somebody's data and no act. */
const MAX_DETAILS = 4_096

/** Reading the audit log, and writing down what was changed elsewhere. */
export function makeAuditReader({ sql, audit }: StoreContext): Pick<IdentityApi, 'auditLog' | 'recordAct'> {
  return {
    recordAct(act, on, details, by) {
      if (JSON.stringify(details).length > MAX_DETAILS)
        return `invalid: details: expected ${MAX_DETAILS} characters at most`
      audit(truncate(act), on, by, details)
      return 'recorded'
    },
    auditLog: (ask) =>
      latestOf(sql, 'audit', ask, ({ seq, data }) => ({ seq, ...(JSON.parse(data) as Omit<AuditEntry, 'seq'>) })),
  }
}

function short({ provider, issuer, subject, client, request }: Actor): Actor {
  return {
    provider: truncate(provider),
    issuer: truncate(issuer),
    subject: truncate(subject),
    client: truncate(client),
    request: truncate(request),
  }
}

/** The user of that name. */
export function findUser(sql: SqlStorage, username: string): User | undefined {
  return rowsOf<User>(sql, 'SELECT data FROM users WHERE key = ?', username)[0]
}

/** The client of that id. */
export function findOAuthClient(sql: SqlStorage, clientId: string): OAuthClient | undefined {
  return rowsOf<OAuthClient>(sql, 'SELECT data FROM clients WHERE key = ?', clientId)[0]
}
