import type { IdentityApi } from '../api.ts'
import { MAX_REVOCATION_MS, MAX_SKEW_MS, STORE_LIMITS } from '../store-limits.ts'
import { makeId } from '../password.ts'
import type { RevocableToken, Revocation, RevocationTarget, RevocationUpdate, SubjectRevocation } from '../types.ts'
import { invalidField, revocationTarget } from './schema.ts'
import { countOf, newestPageOf, rowsOf, type StoreContext } from './store-context.ts'

/** Revocations, numbered in the order of their creation, so that readers can read those after a cursor. */
export interface RevocationStore extends Pick<
  IdentityApi,
  'revoke' | 'isTokenRevoked' | 'revocationsSince' | 'listRevocations'
> {
  /** Adds an entry whatever STORE_LIMITS allows, because it follows from a change that was made. */
  readonly add: (target: RevocationTarget, until: number) => void
  /** Adds, likewise, the entries of a subject; none when `revocation` is undefined. */
  readonly addSubject: (subject: string, revocation: SubjectRevocation | undefined) => void
  /** Adds an entry for the holder of the token (RFC 7009). */
  readonly revokeByHolder: (target: RevocationTarget, until: number) => 'revoked' | 'full'
  /** Deletes entries that have left the feed. */
  readonly prune: () => void
}

/** Makes the store of revocations. An entry is in the feed until `MAX_SKEW_MS` after its `until`. A cursor of another store, or none, starts at the first entry. */
export function makeRevocationStore({ sql, now, audit }: StoreContext): RevocationStore {
  const isOver = (until: number) => until + MAX_SKEW_MS <= now()
  const add = (target: RevocationTarget, until: number) => {
    const key = keyOf(target)
    const query = 'SELECT data FROM revocations WHERE key = ?'
    const before = rowsOf<Revocation>(sql, query, key)[0]
    // A later revocation of a subject covers more tokens.
    if (isOver(until) || (before && before.until >= until && !('subject' in target))) return
    const entry: Revocation = { target, at: now(), until: Math.max(until, before?.until ?? 0) }
    // A replaced row gets a new number, so that readers past the old one read it again.
    const row = [key, entry.until, JSON.stringify(entry)]
    sql.exec('INSERT OR REPLACE INTO revocations (key, until, data) VALUES (?, ?, ?)', ...row)
  }
  const addUpTo = (maxRows: number, target: RevocationTarget, until: number) => {
    if (countOf(sql, 'revocations') >= maxRows) return 'full'
    add(target, until)
    return 'revoked'
  }
  const revokeByHolder = (target: RevocationTarget, until: number) =>
    addUpTo(STORE_LIMITS.revocationsByHolders, target, until)

  return {
    add,
    addSubject(subject, revocation) {
      if (revocation) for (const issuer of revocation.issuers) add({ issuer, subject }, revocation.until)
    },
    revokeByHolder,
    revoke(target, until, by) {
      const invalid = invalidField(revocationTarget, { target, until })
      if (invalid) return invalid
      if (until > now() + MAX_REVOCATION_MS) return 'invalid: until: expected a year from now at most'
      if (by === 'holder') return revokeByHolder(target, until)
      const result = addUpTo(STORE_LIMITS.revocations, target, until)
      if (result === 'revoked') audit('revoke', keyOf(target), by, { until })
      return result
    },
    isTokenRevoked: (token) => isTokenRevoked(sql, token),
    revocationsSince: (cursor) => readFeed(sql, cursor, isOver),
    listRevocations: (request) =>
      newestPageOf(sql, 'revocations', request, ({ data }) => JSON.parse(data) as Revocation),
    prune: () => void sql.exec('DELETE FROM revocations WHERE until <= ?', now() - MAX_SKEW_MS),
  }
}

/** An entry whose time is over counts too: the tokens that it names have expired. */
function isTokenRevoked(sql: SqlStorage, { issuer, subject, jti, sid, issuedAt }: RevocableToken): boolean {
  const find = (target: RevocationTarget) =>
    rowsOf<Revocation>(sql, 'SELECT data FROM revocations WHERE key = ?', keyOf(target))[0]
  if (find({ jti }) || (sid !== undefined && find({ sid }))) return true
  const cutoff = find({ issuer, subject })
  return cutoff !== undefined && issuedAt <= cutoff.at
}

/** The entries after `cursor`. */
function readFeed(sql: SqlStorage, cursor: string, isOver: (until: number) => boolean): RevocationUpdate {
  const store = storeId(sql)
  const [storeOfCursor, number] = cursor.split('.')
  const since = storeOfCursor === store ? Number(number) : 0
  const query = 'SELECT seq, until, data FROM revocations WHERE seq > ? ORDER BY seq LIMIT ?'
  const rows = sql.exec<{ seq: number; until: number; data: string }>(query, since, STORE_LIMITS.feedEntries).toArray()
  return {
    entries: rows.filter(({ until }) => !isOver(until)).map(({ data }) => JSON.parse(data) as Revocation),
    cursor: `${store}.${rows.at(-1)?.seq ?? since}`,
    more: rows.length === STORE_LIMITS.feedEntries,
    reset: storeOfCursor !== store,
  }
}

/** The id of this store, made at the first use: a reader must not apply a cursor of a lost store to this one. */
function storeId(sql: SqlStorage): string {
  sql.exec(`INSERT OR IGNORE INTO meta VALUES ('store', ?)`, makeId())
  return sql.exec<{ value: string }>(`SELECT value FROM meta WHERE name = 'store'`).one().value
}

function keyOf(target: RevocationTarget): string {
  if ('subject' in target) return JSON.stringify([target.issuer, target.subject])
  const [kind, id] = Object.entries(target)[0]!
  return `${kind}:${id}`
}
