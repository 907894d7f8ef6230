import type { IdentityApi } from '../api.ts'
import { STORE_LIMITS } from '../store-limits.ts'
import { makeRefreshToken, sessionOfRefreshToken, sha256Hex } from '../password.ts'
import type { Actor, Session } from '../types.ts'
import type { RevocationStore } from './revocations.ts'
import { findOAuthClient, findUser, pageOf, rowsOf, type StoreContext } from './store-context.ts'

type SessionApi = Pick<
  IdentityApi,
  'startSession' | 'rotateRefreshToken' | 'findSession' | 'revokeRefreshToken' | 'listSessions' | 'revokeSession'
>

/** Sessions (the token families of RFC 9700 §4.14.2), a row each, with the hash of the only live refresh token. */
export interface SessionStore extends SessionApi {
  /** Ends all sessions of a user. */
  readonly endOfUser: (username: string) => void
  /** Ends all sessions of an OAuth client. */
  readonly endOfOAuthClient: (clientId: string) => void
  /** Deletes sessions whose last token has expired. */
  readonly prune: () => void
}

/** A session as stored. `accessMs`: the lifetime of its access tokens, for which `revocations` names it once it is ended. */
interface StoredSession extends Session {
  readonly accessMs: number
}

interface FoundToken {
  readonly session: StoredSession
  readonly isLive: boolean
  /** The part that all tokens of the session begin with. */
  readonly prefix: string
}

/** The actor that ends a session whose token was used twice: no user or operator does. */
const GATEWAY: Actor = { provider: 'gateway', issuer: '', subject: '', client: '', request: '' }

/** Makes the store of sessions. An ended session stands in `revocations` until its last access token has expired. */
export function makeSessionStore(context: StoreContext, revocations: RevocationStore): SessionStore {
  const { sql, now, audit } = context
  const end = ({ id, accessMs }: StoredSession) => {
    sql.exec('DELETE FROM families WHERE key = ?', id)
    revocations.add({ sid: id }, now() + accessMs)
  }
  const endAll = (sessions: readonly StoredSession[]) => sessions.forEach(end)
  return {
    ...makeRefreshTokenOperations(context, end, revocations),
    startSession({ username, passwordHash, clientId, scopes, idleMs, lifeMs, accessMs }) {
      if (!mayRefresh(sql, { username, clientId }) || passwordHashOf(sql, username) !== passwordHash) return 'unknown'
      const existing = rowsOf<StoredSession>(sql, 'SELECT data FROM families WHERE owner = ?', username)
      const oldest = existing.toSorted((a, b) => a.startedAt - b.startedAt)
      endAll(oldest.slice(0, Math.max(0, existing.length + 1 - STORE_LIMITS.sessionsPerUser)))
      const token = makeRefreshToken()
      const startedAt = now()
      const endsAt = startedAt + lifeMs
      const id = sha256Hex(sessionOfRefreshToken(token)!)
      const expiresAt = Math.min(startedAt + idleMs, endsAt)
      return storeSession(sql, { id, username, clientId, scopes, startedAt, expiresAt, endsAt, accessMs }, token)
    },
    listSessions(request) {
      const page = pageOf<StoredSession>(sql, 'families', request)
      return typeof page === 'string' ? page : { ...page, items: page.items.map(publicPart) }
    },
    revokeSession(id, by) {
      const session = rowsOf<StoredSession>(sql, 'SELECT data FROM families WHERE key = ?', id)[0]
      if (!session) return 'unknown'
      end(session)
      audit('refresh.revoke', id, by, { username: session.username, clientId: session.clientId })
      return 'revoked'
    },
    endOfUser: (username) => endAll(rowsOf(sql, 'SELECT data FROM families WHERE owner = ?', username)),
    endOfOAuthClient: (clientId) =>
      endAll(rowsOf(sql, `SELECT data FROM families WHERE data ->> 'clientId' = ?`, clientId)),
    prune: () => void sql.exec('DELETE FROM families WHERE dies_at <= ?', now()),
  }
}

/** The operations that take a refresh token. */
function makeRefreshTokenOperations(
  { sql, now, audit }: StoreContext,
  end: (session: StoredSession) => void,
  revocations: RevocationStore,
): Pick<SessionApi, 'rotateRefreshToken' | 'findSession' | 'revokeRefreshToken'> {
  return {
    rotateRefreshToken(token, clientId, idleMs) {
      const found = findToken(sql, token)
      if (!found || found.session.clientId !== clientId) return 'unknown'
      const { session, isLive, prefix } = found
      if (!isLive) {
        end(session)
        audit('refresh.reused', session.id, GATEWAY, { username: session.username, clientId })
        return 'reused'
      }
      if (session.expiresAt <= now()) return 'expired'
      if (!mayRefresh(sql, session)) return 'unknown'
      return storeSession(
        sql,
        { ...session, expiresAt: Math.min(now() + idleMs, session.endsAt) },
        makeRefreshToken(prefix),
      )
    },
    findSession(token) {
      const found = findToken(sql, token)
      const isGood = found?.isLive && found.session.expiresAt > now() && mayRefresh(sql, found.session)
      return isGood ? publicPart(found.session) : 'unknown'
    },
    revokeRefreshToken(token, clientId) {
      const found = findToken(sql, token)
      if (!found || found.session.clientId !== clientId) return 'unknown'
      const { id, accessMs } = found.session
      sql.exec('DELETE FROM families WHERE key = ?', id)
      return revocations.revokeByHolder({ sid: id }, now() + accessMs)
    },
  }
}

function findToken(sql: SqlStorage, token: string): FoundToken | undefined {
  const prefix = sessionOfRefreshToken(token)
  if (prefix === undefined) return undefined
  const query = 'SELECT hash, data FROM families WHERE key = ?'
  const row = sql.exec<{ hash: string; data: string }>(query, sha256Hex(prefix)).toArray()[0]
  return row && { session: JSON.parse(row.data) as StoredSession, isLive: row.hash === sha256Hex(token), prefix }
}

/** Whether the user and the OAuth client of a session are enabled. */
function mayRefresh(sql: SqlStorage, { username, clientId }: Pick<Session, 'username' | 'clientId'>): boolean {
  if (findUser(sql, username)?.disabled !== false) return false
  return clientId === '' || findOAuthClient(sql, clientId)?.disabled === false
}

function passwordHashOf(sql: SqlStorage, username: string): string | undefined {
  return sql.exec<{ hash: string }>('SELECT hash FROM users WHERE key = ?', username).toArray()[0]?.hash
}

function storeSession(sql: SqlStorage, session: StoredSession, token: string) {
  const { id, username, expiresAt } = session
  const row = [id, sha256Hex(token), username, expiresAt, JSON.stringify(session)]
  sql.exec('INSERT OR REPLACE INTO families VALUES (?, ?, ?, ?, ?)', ...row)
  return { token, session: publicPart(session) }
}

function publicPart(stored: StoredSession): Session {
  const { accessMs: _, ...session } = stored
  return session
}
