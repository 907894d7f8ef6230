import type { ApiKeyStore } from './api-keys.ts'
import { BOUNDS } from '../config.ts'
import type { Sessions } from './sessions.ts'
import type { RevocationStore } from './revocations.ts'
import { invalidField, newUser, userChange } from './schema.ts'
import { countOf, hasKey, pageOf, type StoreContext, findUser } from './store-context.ts'
import type { Actor, Cutoff, NewUser, StoreRefusal, User, UserChange } from '../types.ts'
import type { IdentityApi } from '../api.ts'

type UserApi = Pick<
  IdentityApi,
  'createUser' | 'createFirstUser' | 'getUser' | 'listUsers' | 'updateUser' | 'removeUser' | 'userCredentials'
>

/** What goes with a user. */
export interface UserParts {
  readonly families: Sessions
  readonly apiKeys: ApiKeyStore
  readonly revocations: RevocationStore
}

/** People, by username. */
export function makeUserStore(ground: StoreContext, belongings: UserParts): UserApi {
  const { sql, now, audit } = ground
  const find = (username: string) => findUser(sql, username)

  const create = (user: NewUser, by: Actor): User | StoreRefusal => {
    const flaw = invalidField(newUser, user)
    if (flaw) return flaw
    if (find(user.username)) return 'exists'
    // Both would be the `sub` of tokens of one issuer.
    if (hasKey(sql, 'clients', user.username)) return 'invalid: username: a client has this id'
    if (countOf(sql, 'users') >= BOUNDS.users) return 'full'
    const made = changed({ username: user.username, ...BLANK, createdAt: now(), updatedAt: now() }, user, now())
    sql.exec('INSERT INTO users VALUES (?, ?, ?)', made.username, user.passwordHash, JSON.stringify(made))
    sql.exec(`INSERT OR IGNORE INTO meta VALUES ('firstUser', ?)`, made.username)
    audit('user.create', made.username, by, rightsOf(made))
    return made
  }

  return {
    createUser: create,
    createFirstUser: (user, by) => (hasBegun(sql) ? 'exists' : create(user, by)),
    getUser: (username) => find(username) ?? 'unknown',
    listUsers: (ask) => pageOf(sql, 'users', ask),
    userCredentials(username) {
      const row = sql
        .exec<{ hash: string; data: string }>('SELECT hash, data FROM users WHERE key = ?', username)
        .toArray()[0]
      return row ? { user: JSON.parse(row.data) as User, passwordHash: row.hash } : 'unknown'
    },
    updateUser(username, change, by, cutoff) {
      const flaw = invalidField(userChange, change)
      if (flaw) return flaw
      const before = find(username)
      if (!before) return 'unknown'
      const after = changed(before, change, now())
      const { passwordHash } = change
      sql.exec(
        'UPDATE users SET data = ?, hash = COALESCE(?, hash) WHERE key = ?',
        JSON.stringify(after),
        passwordHash ?? null,
        username,
      )
      if (after.disabled || passwordHash !== undefined) belongings.families.killOf(username)
      if (after.disabled) belongings.apiKeys.revokeOf(username)
      if (cutoff) cutOff(username, cutoff)
      audit('user.update', username, by, { fields: Object.keys(change), before: rightsOf(before), ...rightsOf(after) })
      return after
    },
    removeUser(username, by, cutoff) {
      if (!find(username)) return 'unknown'
      sql.exec('DELETE FROM users WHERE key = ?', username)
      belongings.families.killOf(username)
      belongings.apiKeys.revokeOf(username)
      if (cutoff) cutOff(username, cutoff)
      audit('user.remove', username, by)
      return 'removed'
    },
  }

  function cutOff(username: string, { issuers, until }: Cutoff): void {
    for (const issuer of issuers) belongings.revocations.add({ issuer, subject: username }, until)
  }
}

/** Whether there is a user, or ever was one. */
function hasBegun(sql: SqlStorage): boolean {
  return countOf(sql, 'users') > 0 || hasKey(sql, 'meta', 'firstUser')
}

const BLANK = { email: undefined, fullName: undefined, disabled: false, scopes: [], roles: [] }

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
