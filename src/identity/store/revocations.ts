import { BOUNDS, MAX_REVOCATION_MS, MAX_SKEW_MS } from '../config.ts'
import { invalidField, revocationTarget } from './schema.ts'
import { makeId } from '../password.ts'
import { countOf, latestOf, rowsOf, type StoreContext } from './store-context.ts'
import type { Revocation, RevocationTarget } from '../types.ts'
import type { IdentityApi } from '../api.ts'

/** What may not be used any more, numbered in the order of its coming, so that followers can ask for what is new. */
export interface RevocationStore extends Pick<IdentityApi, 'revoke' | 'revocationsSince' | 'listRevocations'> {
  /** Whatever the bounds say: it follows from a change that was made. */
  readonly add: (target: RevocationTarget, until: number) => void
  /** For whoever had it. */
  readonly giveUp: (target: RevocationTarget, until: number) => 'revoked' | 'full'
  /** Forgets what has ended. */
  readonly prune: () => void
}

/** An entry is told until `MAX_SKEW_MS` after its `until`. A cursor of another store, or none, brings all entries anew. */
export function makeRevocationStore({ sql, now, audit }: StoreContext): RevocationStore {
  const isOver = (until: number) => until + MAX_SKEW_MS <= now()
  const add = (target: RevocationTarget, until: number) => {
    const key = keyOf(target)
    const query = 'SELECT data FROM revocations WHERE key = ?'
    const before = rowsOf<Revocation>(sql, query, key)[0]
    // Of a subject, a later revocation concerns more tokens.
    if (isOver(until) || (before && before.until >= until && !('subject' in target))) return
    const entry: Revocation = { target, at: now(), until: Math.max(until, before?.until ?? 0) }
    // A row that is replaced gets a new number: whoever saw the old one has to see this one.
    const row = [key, entry.until, JSON.stringify(entry)]
    sql.exec('INSERT OR REPLACE INTO revocations (key, until, data) VALUES (?, ?, ?)', ...row)
  }
  const addWithin = (bound: number, target: RevocationTarget, until: number) => {
    if (countOf(sql, 'revocations') >= bound) return 'full'
    add(target, until)
    return 'revoked'
  }
  const giveUp = (target: RevocationTarget, until: number) => addWithin(BOUNDS.revocationsByHolders, target, until)

  return {
    add,
    giveUp,
    revoke(target, until, by) {
      const flaw = invalidField(revocationTarget, { target, until })
      if (flaw) return flaw
      if (until > now() + MAX_REVOCATION_MS) return 'invalid: until: expected a year from now at most'
      if (by === 'holder') return giveUp(target, until)
      const answer = addWithin(BOUNDS.revocations, target, until)
      if (answer === 'revoked') audit('revoke', keyOf(target), by, { until })
      return answer
    },
    revocationsSince(cursor) {
      const store = storeId(sql)
      const [of, number] = cursor.split('.')
      const since = of === store ? Number(number) : 0
      const query = 'SELECT seq, until, data FROM revocations WHERE seq > ? ORDER BY seq LIMIT ?'
      const rows = sql.exec<{ seq: number; until: number; data: string }>(query, since, BOUNDS.feed).toArray()
      return {
        entries: rows.filter(({ until }) => !isOver(until)).map(({ data }) => JSON.parse(data) as Revocation),
        cursor: `${store}.${rows.at(-1)?.seq ?? since}`,
        more: rows.length === BOUNDS.feed,
        reset: of !== store,
      }
    },
    listRevocations: (ask) => latestOf(sql, 'revocations', ask, ({ data }) => JSON.parse(data) as Revocation),
    prune: () => void sql.exec('DELETE FROM revocations WHERE until <= ?', now() - MAX_SKEW_MS),
  }
}

/** Made when it is first asked for: a follower of a store that was lost must not take its numbers for this one's. */
function storeId(sql: SqlStorage): string {
  sql.exec(`INSERT OR IGNORE INTO meta VALUES ('store', ?)`, makeId())
  return sql.exec<{ value: string }>(`SELECT value FROM meta WHERE name = 'store'`).one().value
}

function keyOf(target: RevocationTarget): string {
  if ('subject' in target) return JSON.stringify([target.issuer, target.subject])
  const [kind, id] = Object.entries(target)[0]!
  return `${kind}:${id}`
}
