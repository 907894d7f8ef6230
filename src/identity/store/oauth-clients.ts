import { BOUNDS } from '../config.ts'
import type { Sessions } from './sessions.ts'
import { oauthClientChange, invalidField, newOAuthClient } from './schema.ts'
import { makeClientSecret, sha256Hex } from '../password.ts'
import { countOf, hasKey, pageOf, type StoreContext, findOAuthClient } from './store-context.ts'
import type { OAuthClient, OAuthClientChange, Invalid } from '../types.ts'
import type { IdentityApi } from '../api.ts'

type ClientApi = Pick<
  IdentityApi,
  'createClient' | 'getClient' | 'listClients' | 'updateClient' | 'removeClient' | 'clientCredentials'
>

/** OAuth clients, by client id. */
export function makeOAuthClientStore({ sql, now, audit }: StoreContext, families: Sessions): ClientApi {
  const find = (clientId: string) => findOAuthClient(sql, clientId)
  return {
    createClient(asked, by) {
      const flaw = invalidField(newOAuthClient, asked)
      if (flaw) return flaw
      if (find(asked.clientId)) return 'exists'
      // Both would be the `sub` of tokens of one issuer.
      if (hasKey(sql, 'users', asked.clientId)) return 'invalid: clientId: a user has this name'
      if (countOf(sql, 'clients') >= BOUNDS.clients) return 'full'
      const { clientId, confidential = true } = asked
      const client = changed({ clientId, ...BLANK, confidential, createdAt: now(), updatedAt: now() }, asked, now())
      const misfit = misfitOf(client)
      if (misfit) return misfit
      const secret = confidential ? makeClientSecret() : undefined
      const hash = secret === undefined ? null : sha256Hex(secret)
      sql.exec('INSERT INTO clients VALUES (?, ?, ?)', clientId, hash, JSON.stringify(client))
      audit('client.create', clientId, by, rightsOf(client))
      return { oauthClient: client, secret }
    },
    getClient: (clientId) => find(clientId) ?? 'unknown',
    listClients: (ask) => pageOf(sql, 'clients', ask),
    clientCredentials(clientId) {
      const query = 'SELECT hash, data FROM clients WHERE key = ?'
      const row = sql.exec<{ hash: string | null; data: string }>(query, clientId).toArray()[0]
      return row ? { client: JSON.parse(row.data) as OAuthClient, secretHash: row.hash ?? undefined } : 'unknown'
    },
    updateClient(clientId, change, by) {
      const before = find(clientId)
      const flaw = invalidField(oauthClientChange, change)
      if (flaw) return flaw
      if (!before) return 'unknown'
      const client = changed(before, change, now())
      const misfit = change.newSecret && !client.confidential ? PUBLIC_SECRET : misfitOf(client)
      if (misfit) return misfit
      const secret = change.newSecret ? makeClientSecret() : undefined
      const hash = secret === undefined ? null : sha256Hex(secret)
      sql.exec(
        'UPDATE clients SET data = ?, hash = COALESCE(?, hash) WHERE key = ?',
        JSON.stringify(client),
        hash,
        clientId,
      )
      if (client.disabled) families.killOfClient(clientId)
      audit('client.update', clientId, by, {
        fields: Object.keys(change),
        before: rightsOf(before),
        ...rightsOf(client),
      })
      return { oauthClient: client, secret }
    },
    removeClient(clientId, by) {
      if (!find(clientId)) return 'unknown'
      sql.exec('DELETE FROM clients WHERE key = ?', clientId)
      families.killOfClient(clientId)
      audit('client.remove', clientId, by)
      return 'removed'
    },
  }
}

const BLANK = { name: undefined, disabled: false, grants: ['client_credentials'], scopes: [], roles: [] } as const
const PUBLIC_SECRET = 'invalid: newSecret: a public client has none'

/** RFC 6749 §4.4: whoever cannot keep a secret cannot say who he is. */
function misfitOf({ confidential, grants }: OAuthClient): Invalid | undefined {
  if (confidential || !grants.includes('client_credentials')) return undefined
  return 'invalid: grants: a public client cannot have client_credentials'
}

function changed(client: OAuthClient, change: OAuthClientChange, now: number): OAuthClient {
  return {
    ...client,
    name: change.name === undefined ? client.name : (change.name ?? undefined),
    disabled: change.disabled ?? client.disabled,
    grants: change.grants ?? client.grants,
    scopes: change.scopes ?? client.scopes,
    roles: change.roles ?? client.roles,
    updatedAt: now,
  }
}

function rightsOf({ disabled, confidential, grants, scopes, roles }: OAuthClient) {
  return { disabled, confidential, grants, scopes, roles }
}
