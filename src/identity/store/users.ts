import type { IdentityApi } from '../api.ts'
import { STORE_LIMITS } from '../store-limits.ts'
import type { Actor, NewUser, StoreRefusal, SubjectRevocation, User, UserChange } from '../types.ts'
import type { ApiKeyStore } from './api-keys.ts'
import type { RevocationStore } from './revocations.ts'
import { invalidField, newUser, userChange } from './schema.ts'
import type { SessionStore } from './sessions.ts'
import { countOf, findUser, hasKey, pageOf, type StoreContext } from './store-context.ts'

type UserApi = Pick<
  IdentityApi,
  'createUser' | 'createFirstUser' | 'getUser' | 'listUsers' | 'updateUser' | 'removeUser' | 'userCredentials'
>

/** The stores of what ends with a user. */
interface UserParts {
  readonly sessions: SessionStore
  readonly apiKeys: ApiKeyStore
  readonly revocations: RevocationStore
}

/** Makes the store of users, by username. */
export function makeUserStore(context: StoreContext, parts: UserParts): UserApi {
  const { sql } = context
  return {
    createUser: (user, by) => createUser(context, user, by),
    createFirstUser: (user, by) => (hasHadUsers(sql) ? 'exists' : createUser(context, user, by)),
    getUser: (username) => findUser(sql, username) ?? 'unknown',
    listUsers: (request) => pageOf(sql, 'users', request),
    userCredentials(username) {
      const query = 'SELECT hash, data FROM users WHERE key = ?'
      const row = sql.exec<{ hash: string; data: string }>(query, username).toArray()[0]
      return row ? { user: JSON.parse(row.data) as User, passwordHash: row.hash } : 'unknown'
    },
    updateUser: (username, change, by, revocation) => updateUser(context, parts, username, change, by, revocation),
    removeUser(username, by, revocation) {
      if (!findUser(sql, username)) return 'unknown'
      sql.exec('DELETE FROM users WHERE key = ?', username)
      parts.sessions.endOfUser(username)
      parts.apiKeys.revokeAllOf(username)
      parts.revocations.addSubject(username, revocation)
      context.audit('user.remove', username, by)
      return 'removed'
    },
  }
}

function createUser({ sql, now, audit }: StoreContext, user: NewUser, by: Actor): User | StoreRefusal {
  const invalid = invalidField(newUser, user)
  if (invalid) return invalid
  if (findUser(sql, user.username)) return 'exists'
  // Both would be the `sub` of tokens of one issuer.
  if (hasKey(sql, 'clients', user.username)) return 'invalid: username: a client has this id'
  if (countOf(sql, 'users') >= STORE_LIMITS.users) return 'full'
  const created = changed({ username: user.username, ...NEW_USER, createdAt: now(), updatedAt: now() }, user, now())
  sql.exec('INSERT INTO users VALUES (?, ?, ?)', created.username, user.passwordHash, JSON.stringify(created))
  sql.exec(`INSERT OR IGNORE INTO meta VALUES ('firstUser', ?)`, created.username)
  audit('user.create', created.username, by, rightsOf(created))
  return created
}

function updateUser(
  { sql, now, audit }: StoreContext,
  parts: UserParts,
  username: string,
  change: UserChange,
  by: Actor,
  revocation: SubjectRevocation | undefined,
): User | StoreRefusal {
  const invalid = invalidField(userChange, change)
  if (invalid) return invalid
  const before = findUser(sql, username)
  if (!before) return 'unknown'
  const after = changed(before, change, now())
  const { passwordHash } = change
  const query = 'UPDATE users SET data = ?, hash = COALESCE(?, hash) WHERE key = ?'
  sql.exec(query, JSON.stringify(after), passwordHash ?? null, username)
  if (after.disabled || passwordHash !== undefined) parts.sessions.endOfUser(username)
  if (after.disabled) parts.apiKeys.revokeAllOf(username)
  parts.revocations.addSubject(username, revocation)
  audit('user.update', username, by, { fields: Object.keys(change), before: rightsOf(before), ...rightsOf(after) })
  return after
}

/** Whether there is a user, or ever was one. */
function hasHadUsers(sql: SqlStorage): boolean {
  return countOf(sql, 'users') > 0 || hasKey(sql, 'meta', 'firstUser')
}

const NEW_USER = { email: undefined, fullName: undefined, disabled: false, scopes: [], roles: [] }

function changed(user: User, change: UserChange, now: number): User {
  return {
    ...user,
    email: change.email === undefined ? user.email : (change.email ?? undefined),
    fullName: change.fullName === undefined ? user.fullName : (change.fullName ?? undefined),
    disabled: change.disabled ?? user.disabled,
    scopes: change.scopes ?? user.scopes,
    roles: change.roles ?? user.roles,
    updatedAt: now,
  }
}

function rightsOf({ disabled, scopes, roles }: User) {
  return { disabled, scopes, roles }
}
