import type { IdentityApi } from '../api.ts'
import { API_KEY_RETENTION_MS, MAX_API_KEY_CACHE_MS, STORE_LIMITS } from '../store-limits.ts'
import { makeApiKey, makeId, sha256Hex } from '../password.ts'
import type { Actor, ApiKey, NewApiKey, StoreRefusal } from '../types.ts'
import type { RevocationStore } from './revocations.ts'
import { invalidField, newApiKey } from './schema.ts'
import { countOf, findUser, pageOf, rowsOf, type StoreContext } from './store-context.ts'

/** API keys, by id and by the hash of the key itself. */
export interface ApiKeyStore extends Pick<IdentityApi, 'createApiKey' | 'findApiKey' | 'listApiKeys' | 'revokeApiKey'> {
  /** Revokes all keys of an owner. */
  readonly revokeAllOf: (owner: string) => void
  /** Deletes keys a month after they expired or were revoked. */
  readonly prune: () => void
}

/** Makes the store of API keys. A revoked key stands in `revocations` for as long as an isolate may cache it. */
export function makeApiKeyStore(context: StoreContext, revocations: RevocationStore): ApiKeyStore {
  const { sql, now, audit } = context
  const revoke = (apiKey: ApiKey): ApiKey => {
    const revoked = { ...apiKey, revokedAt: now() }
    sql.exec('UPDATE api_keys SET data = ?, dies_at = ? WHERE key = ?', JSON.stringify(revoked), now(), apiKey.id)
    revocations.add({ keyId: apiKey.id }, now() + MAX_API_KEY_CACHE_MS)
    return revoked
  }

  return {
    createApiKey: (input, by) => createApiKey(context, input, by),
    findApiKey(hash) {
      const found = rowsOf<ApiKey>(sql, 'SELECT data FROM api_keys WHERE hash = ?', hash)[0]
      if (!found) return 'unknown'
      if (found.revokedAt !== undefined) return 'revoked'
      return found.expiresAt !== undefined && found.expiresAt <= now() ? 'expired' : found
    },
    listApiKeys: (request) => pageOf(sql, 'api_keys', request),
    revokeApiKey(id, by) {
      const found = rowsOf<ApiKey>(sql, 'SELECT data FROM api_keys WHERE key = ?', id)[0]
      if (!found) return 'unknown'
      if (found.revokedAt !== undefined) return found
      audit('apiKey.revoke', id, by, { owner: found.owner })
      return revoke(found)
    },
    revokeAllOf(owner) {
      for (const apiKey of rowsOf<ApiKey>(sql, 'SELECT data FROM api_keys WHERE owner = ?', owner))
        if (apiKey.revokedAt === undefined) revoke(apiKey)
    },
    prune: () => void sql.exec('DELETE FROM api_keys WHERE dies_at <= ?', now() - API_KEY_RETENTION_MS),
  }
}

function createApiKey(
  { sql, now, audit }: StoreContext,
  input: NewApiKey,
  by: Actor,
): { readonly key: string; readonly apiKey: ApiKey } | StoreRefusal {
  const invalid = invalidField(newApiKey, input)
  if (invalid) return invalid
  const { owner, scopes = [], roles = [], tier = '', expiresAt } = input
  if (expiresAt !== undefined && expiresAt <= now()) return 'invalid: expiresAt: expected a time to come'
  if (findUser(sql, owner)?.disabled) return 'invalid: owner: this user is disabled'
  if (countOf(sql, 'api_keys') >= STORE_LIMITS.apiKeys) return 'full'
  const apiKey = { id: makeId(), owner, scopes, roles, tier, expiresAt, createdAt: now(), revokedAt: undefined }
  const key = makeApiKey()
  const row = [apiKey.id, sha256Hex(key), owner, expiresAt ?? null, JSON.stringify(apiKey)]
  sql.exec('INSERT INTO api_keys VALUES (?, ?, ?, ?, ?)', ...row)
  audit('apiKey.create', apiKey.id, by, { owner, scopes, roles, tier, expiresAt })
  return { key, apiKey }
}
