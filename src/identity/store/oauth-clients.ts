import { BOUNDS } from '../config.ts'
import type { Families } from './sessions.ts'
import { clientChange, flawOf, newClient } from './schema.ts'
import { makeClientSecret, sha256Hex } from '../password.ts'
import { countOf, hasKey, pageOf, type Ground, findClient } from './store.ts'
import type { Client, ClientChange, Invalid } from '../types.ts'
import type { IdentityApi } from '../api.ts'

type ClientApi = Pick<
  IdentityApi,
  'createClient' | 'getClient' | 'listClients' | 'updateClient' | 'removeClient' | 'clientCredentials'
>

/** OAuth clients, by client id. */
export function makeClients({ sql, now, audit }: Ground, families: Families): ClientApi {
  const find = (clientId: string) => findClient(sql, clientId)
  return {
    createClient(asked, by) {
      const flaw = flawOf(newClient, asked)
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
      return { client, secret }
    },
    getClient: (clientId) => find(clientId) ?? 'unknown',
    listClients: (ask) => pageOf(sql, 'clients', ask),
    clientCredentials(clientId) {
      const query = 'SELECT hash, data FROM clients WHERE key = ?'
      const row = sql.exec<{ hash: string | null; data: string }>(query, clientId).toArray()[0]
      return row ? { client: JSON.parse(row.data) as Client, secretHash: row.hash ?? undefined } : 'unknown'
    },
    updateClient(clientId, change, by) {
      const before = find(clientId)
      const flaw = flawOf(clientChange, change)
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
      return { client, secret }
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
function misfitOf({ confidential, grants }: Client): Invalid | undefined {
  if (confidential || !grants.includes('client_credentials')) return undefined
  return 'invalid: grants: a public client cannot have client_credentials'
}

function changed(client: Client, change: ClientChange, now: number): Client {
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

function rightsOf({ disabled, confidential, grants, scopes, roles }: Client) {
  return { disabled, confidential, grants, scopes, roles }
}
