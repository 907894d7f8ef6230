import { BOUNDS } from '../config.ts'
import type { RevocationStore } from './revocations.ts'
import { makeRefreshToken, sessionOfRefreshToken, sha256Hex } from '../password.ts'
import { pageOf, rowsOf, type StoreContext, findUser, findOAuthClient } from './store-context.ts'
import type { Actor, Session } from '../types.ts'
import type { IdentityApi } from '../api.ts'

type FamilyApi = Pick<
  IdentityApi,
  'startFamily' | 'rotateRefresh' | 'findRefresh' | 'revokeRefresh' | 'listFamilies' | 'revokeFamily'
>

/** Families of refresh tokens (RFC 9700 §4.14.2), one row each: the hash of the only live token. */
export interface Sessions extends FamilyApi {
  /** Kills all families of a user, or of a client. */
  readonly killOf: (username: string) => void
  readonly killOfClient: (clientId: string) => void
  /** Forgets families whose last token has expired. */
  readonly prune: () => void
}

interface Stored extends Session {
  readonly accessMs: number
}

interface Shown {
  readonly family: Stored
  readonly isLive: boolean
  /** What the family's tokens begin with. */
  readonly start: string
}

/** Who finds a token used twice: nobody signed in, so the gateway itself. */
const GATEWAY: Actor = { provider: 'gateway', issuer: '', subject: '', client: '', request: '' }

/** Whatever is killed here stands in `revocations` for as long as its access tokens may live. */
export function makeSessionStore({ sql, now, audit }: StoreContext, revocations: RevocationStore): Sessions {
  const shown = (token: string): Shown | undefined => {
    const start = sessionOfRefreshToken(token)
    if (start === undefined) return undefined
    const query = 'SELECT hash, data FROM families WHERE key = ?'
    const row = sql.exec<{ hash: string; data: string }>(query, sha256Hex(start)).toArray()[0]
    return row && { family: JSON.parse(row.data) as Stored, isLive: row.hash === sha256Hex(token), start }
  }
  const maySign = ({ username, clientId }: Pick<Session, 'username' | 'clientId'>) =>
    findUser(sql, username)?.disabled === false &&
    (clientId === '' || findOAuthClient(sql, clientId)?.disabled === false)
  const hashOf = (username: string) =>
    sql.exec<{ hash: string }>('SELECT hash FROM users WHERE key = ?', username).toArray()[0]?.hash
  const put = (family: Stored, token: string) => {
    const { id, username, expiresAt } = family
    const row = [id, sha256Hex(token), username, expiresAt, JSON.stringify(family)]
    sql.exec('INSERT OR REPLACE INTO families VALUES (?, ?, ?, ?, ?)', ...row)
    return { token, family: plain(family) }
  }
  const kill = ({ id, accessMs }: Stored) => {
    sql.exec('DELETE FROM families WHERE key = ?', id)
    revocations.add({ sid: id }, now() + accessMs)
  }
  const killAll = (families: readonly Stored[]) => families.forEach(kill)

  return {
    startFamily({ username, passwordHash, clientId, scopes, idleMs, lifeMs, accessMs }) {
      if (!maySign({ username, clientId }) || hashOf(username) !== passwordHash) return 'unknown'
      const mine = rowsOf<Stored>(sql, 'SELECT data FROM families WHERE owner = ?', username)
      const oldest = mine.toSorted((a, b) => a.startedAt - b.startedAt)
      killAll(oldest.slice(0, Math.max(0, mine.length + 1 - BOUNDS.familiesPerUser)))
      const token = makeRefreshToken()
      const startedAt = now()
      const endsAt = startedAt + lifeMs
      const id = sha256Hex(sessionOfRefreshToken(token)!)
      const expiresAt = Math.min(startedAt + idleMs, endsAt)
      return put({ id, username, clientId, scopes, startedAt, expiresAt, endsAt, accessMs }, token)
    },
    rotateRefresh(token, clientId, idleMs) {
      const found = shown(token)
      if (!found || found.family.clientId !== clientId) return 'unknown'
      const { family, isLive, start } = found
      if (!isLive) {
        kill(family)
        audit('refresh.reused', family.id, GATEWAY, { username: family.username, clientId })
        return 'reused'
      }
      if (family.expiresAt <= now()) return 'expired'
      if (!maySign(family)) return 'unknown'
      return put({ ...family, expiresAt: Math.min(now() + idleMs, family.endsAt) }, makeRefreshToken(start))
    },
    findRefresh(token) {
      const found = shown(token)
      const isGood = found?.isLive && found.family.expiresAt > now() && maySign(found.family)
      return isGood ? plain(found.family) : 'unknown'
    },
    revokeRefresh(token, clientId) {
      const found = shown(token)
      if (!found || found.family.clientId !== clientId) return 'unknown'
      const { id, accessMs } = found.family
      sql.exec('DELETE FROM families WHERE key = ?', id)
      return revocations.giveUp({ sid: id }, now() + accessMs)
    },
    listFamilies(ask) {
      const page = pageOf<Stored>(sql, 'families', ask)
      return typeof page === 'string' ? page : { ...page, items: page.items.map(plain) }
    },
    revokeFamily(id, by) {
      const family = rowsOf<Stored>(sql, 'SELECT data FROM families WHERE key = ?', id)[0]
      if (!family) return 'unknown'
      kill(family)
      audit('refresh.revoke', id, by, { username: family.username, clientId: family.clientId })
      return 'revoked'
    },
    killOf: (username) => killAll(rowsOf(sql, 'SELECT data FROM families WHERE owner = ?', username)),
    killOfClient: (clientId) =>
      killAll(rowsOf(sql, `SELECT data FROM families WHERE data ->> 'clientId' = ?`, clientId)),
    prune: () => void sql.exec('DELETE FROM families WHERE dies_at <= ?', now()),
  }
}

function plain(stored: Stored): Session {
  const { accessMs: _, ...family } = stored
  return family
}
