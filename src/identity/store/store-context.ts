import type { Actor, Invalid, OAuthClient, Page, PageRequest, User } from '../types.ts'
import { invalidField, pageRequest } from './schema.ts'

/** The context of all parts of the identity store. Each operation runs inside one transaction, so one that throws changes nothing. */
export interface StoreContext {
  readonly sql: SqlStorage
  /** Epoch milliseconds. */
  readonly now: () => number
  /** Appends to the audit log. `details` hold no secret. */
  readonly audit: (act: string, on: string, by: Actor, details?: Readonly<Record<string, unknown>>) => void
}

/**
 * The tables. Two keep older names, so that existing objects keep their rows: `clients` has the OAuth clients, `families` the sessions. Of the audit
 * log only rows before `audit-kept-from` can be deleted.
 */
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
  DROP TRIGGER IF EXISTS audit_lasts;
  CREATE TRIGGER IF NOT EXISTS audit_kept BEFORE DELETE ON audit
    WHEN OLD.seq >= COALESCE((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'audit-kept-from'), 0)
    BEGIN SELECT RAISE(ABORT, 'append-only'); END;
`

/** Creates the tables that do not exist. */
export function openTables(sql: SqlStorage): void {
  sql.exec(TABLES)
}

/** The parsed `data` of all rows that a query finds. */
export function rowsOf<T>(sql: SqlStorage, query: string, ...bindings: SqlStorageValue[]): T[] {
  return sql
    .exec<{ data: string }>(query, ...bindings)
    .toArray()
    .map(({ data }) => JSON.parse(data) as T)
}

/** The number of rows of a table. */
export function countOf(sql: SqlStorage, table: string): number {
  return sql.exec<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`).one().n
}

/** Whether a table has a row with that key. */
export function hasKey(sql: SqlStorage, table: 'users' | 'clients' | 'meta', key: string): boolean {
  const column = table === 'meta' ? 'name' : 'key'
  return sql.exec(`SELECT 1 FROM ${table} WHERE ${column} = ?`, key).toArray().length > 0
}

type ListedTable = 'users' | 'clients' | 'api_keys' | 'families'

/** One page of a table, in the order of its keys; `owner` only where rows have owners. */
export function pageOf<T>(
  sql: SqlStorage,
  table: ListedTable,
  request: PageRequest & { readonly owner?: string },
): Page<T> | Invalid {
  const invalid = invalidField(pageRequest, request)
  if (invalid) return invalid
  const { after = '', limit = 50, owner } = request
  const condition = owner === undefined ? '' : 'AND owner = ?'
  const query = `SELECT key, data FROM ${table} WHERE key > ? ${condition} ORDER BY key LIMIT ?`
  const bindings = [after, ...(owner === undefined ? [] : [owner]), limit + 1]
  const rows = sql.exec<{ key: string; data: string }>(query, ...bindings).toArray()
  const items = rows.slice(0, limit).map(({ data }) => JSON.parse(data) as T)
  return { items, next: rows.length > limit ? rows[limit - 1]!.key : undefined }
}

/** One page of a table with numbered rows, newest first. */
export function newestPageOf<T>(
  sql: SqlStorage,
  table: 'audit' | 'revocations',
  request: PageRequest,
  parse: (row: { seq: number; data: string }) => T,
): Page<T> | Invalid {
  const before = Number(request.after ?? Number.MAX_SAFE_INTEGER)
  const invalid = invalidField(pageRequest, request) ?? (Number.isSafeInteger(before) ? undefined : 'invalid: after')
  if (invalid) return invalid
  const limit = request.limit ?? 50
  const query = `SELECT seq, data FROM ${table} WHERE seq < ? ORDER BY seq DESC LIMIT ?`
  const rows = sql.exec<{ seq: number; data: string }>(query, before, limit + 1).toArray()
  const next = rows.length > limit ? String(rows[limit - 1]!.seq) : undefined
  return { items: rows.slice(0, limit).map(parse), next }
}

/** The user of that name; undefined when there is none. */
export function findUser(sql: SqlStorage, username: string): User | undefined {
  return rowsOf<User>(sql, 'SELECT data FROM users WHERE key = ?', username)[0]
}

/** The OAuth client with that id; undefined when there is none. */
export function findOAuthClient(sql: SqlStorage, clientId: string): OAuthClient | undefined {
  return rowsOf<OAuthClient>(sql, 'SELECT data FROM clients WHERE key = ?', clientId)[0]
}
