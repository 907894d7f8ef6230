import { BOUNDS, DEAD_KEY_MS, MAX_KEY_MEMORY_MS } from '../config.ts'
import type { RevocationStore } from './revocations.ts'
import { invalidField, newApiKey } from './schema.ts'
import { makeApiKey, makeId, sha256Hex } from '../password.ts'
import { countOf, pageOf, rowsOf, type StoreContext, findUser } from './store-context.ts'
import type { ApiKey } from '../types.ts'
import type { IdentityApi } from '../api.ts'

/** API keys, by id and by the hash of the key itself. */
export interface ApiKeyStore extends Pick<IdentityApi, 'createApiKey' | 'findApiKey' | 'listApiKeys' | 'revokeApiKey'> {
  /** Revokes all keys of an owner. */
  readonly revokeOf: (owner: string) => void
  /** Forgets keys that have been dead for a month. */
  readonly prune: () => void
}

/** Whatever is revoked here stands in `revocations` for as long as an isolate may remember the key. */
export function makeApiKeyStore({ sql, now, audit }: StoreContext, revocations: RevocationStore): ApiKeyStore {
  const end = (apiKey: ApiKey): ApiKey => {
    const ended = { ...apiKey, revokedAt: now() }
    sql.exec('UPDATE api_keys SET data = ?, dies_at = ? WHERE key = ?', JSON.stringify(ended), now(), apiKey.id)
    // For isolates that remember it.
    revocations.add({ keyId: apiKey.id }, now() + MAX_KEY_MEMORY_MS)
    return ended
  }

  return {
    createApiKey(asked, by) {
      const flaw = invalidField(newApiKey, asked)
      if (flaw) return flaw
      if (asked.expiresAt !== undefined && asked.expiresAt <= now())
        return 'invalid: expiresAt: expected a time to come'
      if (findUser(sql, asked.owner)?.disabled) return 'invalid: owner: this user is disabled'
      if (countOf(sql, 'api_keys') >= BOUNDS.apiKeys) return 'full'
      const { owner, scopes = [], roles = [], tier = '', expiresAt } = asked
      const apiKey = { id: makeId(), owner, scopes, roles, tier, expiresAt, createdAt: now(), revokedAt: undefined }
      const key = makeApiKey()
      const row = [apiKey.id, sha256Hex(key), owner, expiresAt ?? null, JSON.stringify(apiKey)]
      sql.exec('INSERT INTO api_keys VALUES (?, ?, ?, ?, ?)', ...row)
      audit('apiKey.create', apiKey.id, by, { owner, scopes, roles, tier, expiresAt })
      return { key, apiKey }
    },
    findApiKey(hash) {
      const found = rowsOf<ApiKey>(sql, 'SELECT data FROM api_keys WHERE hash = ?', hash)[0]
      if (!found) return 'unknown'
      if (found.revokedAt !== undefined) return 'revoked'
      return found.expiresAt !== undefined && found.expiresAt <= now() ? 'expired' : found
    },
    listApiKeys: (ask) => pageOf(sql, 'api_keys', ask),
    revokeApiKey(id, by) {
      const found = rowsOf<ApiKey>(sql, 'SELECT data FROM api_keys WHERE key = ?', id)[0]
      if (!found) return 'unknown'
      if (found.revokedAt !== undefined) return found
      audit('apiKey.revoke', id, by, { owner: found.owner })
      return end(found)
    },
    revokeOf(owner) {
      for (const apiKey of rowsOf<ApiKey>(sql, 'SELECT data FROM api_keys WHERE owner = ?', owner))
        if (apiKey.revokedAt === undefined) end(apiKey)
    },
    prune: () => void sql.exec('DELETE FROM api_keys WHERE dies_at <= ?', now() - DEAD_KEY_MS),
  }
}
