import type { IdentityApi } from '../api.ts'
import { STORE_LIMITS } from '../store-limits.ts'
import { makeOAuthClientSecret, sha256Hex } from '../password.ts'
import type {
  Actor,
  CreatedOAuthClient,
  Invalid,
  NewOAuthClient,
  OAuthClient,
  OAuthClientChange,
  StoreRefusal,
  SubjectRevocation,
} from '../types.ts'
import type { RevocationStore } from './revocations.ts'
import { invalidField, newOAuthClient, oauthClientChange } from './schema.ts'
import type { SessionStore } from './sessions.ts'
import { countOf, findOAuthClient, hasKey, pageOf, type StoreContext } from './store-context.ts'

type OAuthClientApi = Pick<
  IdentityApi,
  | 'createOAuthClient'
  | 'getOAuthClient'
  | 'listOAuthClients'
  | 'updateOAuthClient'
  | 'removeOAuthClient'
  | 'oauthClientCredentials'
>

/** The stores of what ends with an OAuth client. */
interface OAuthClientParts {
  readonly sessions: SessionStore
  readonly revocations: RevocationStore
}

/** Makes the store of OAuth clients, by client id. */
export function makeOAuthClientStore(context: StoreContext, parts: OAuthClientParts): OAuthClientApi {
  const { sql, audit } = context
  return {
    createOAuthClient: (input, by) => createOAuthClient(context, input, by),
    getOAuthClient: (clientId) => findOAuthClient(sql, clientId) ?? 'unknown',
    listOAuthClients: (request) => pageOf(sql, 'clients', request),
    oauthClientCredentials(clientId) {
      const query = 'SELECT hash, data FROM clients WHERE key = ?'
      const row = sql.exec<{ hash: string | null; data: string }>(query, clientId).toArray()[0]
      return row ? { oauthClient: JSON.parse(row.data) as OAuthClient, secretHash: row.hash ?? undefined } : 'unknown'
    },
    updateOAuthClient: (clientId, change, by, revocation) =>
      updateOAuthClient(context, parts, clientId, change, by, revocation),
    removeOAuthClient(clientId, by, revocation) {
      if (!findOAuthClient(sql, clientId)) return 'unknown'
      sql.exec('DELETE FROM clients WHERE key = ?', clientId)
      parts.sessions.endOfOAuthClient(clientId)
      parts.revocations.addSubject(clientId, revocation)
      audit('client.remove', clientId, by)
      return 'removed'
    },
  }
}

function createOAuthClient(
  { sql, now, audit }: StoreContext,
  input: NewOAuthClient,
  by: Actor,
): CreatedOAuthClient | StoreRefusal {
  const invalid = invalidField(newOAuthClient, input)
  if (invalid) return invalid
  const { clientId, confidential = true } = input
  if (findOAuthClient(sql, clientId)) return 'exists'
  // Both would be the `sub` of tokens of one issuer.
  if (hasKey(sql, 'users', clientId)) return 'invalid: clientId: a user has this name'
  if (countOf(sql, 'clients') >= STORE_LIMITS.oauthClients) return 'full'
  const defaults = { clientId, ...NEW_OAUTH_CLIENT, confidential, createdAt: now(), updatedAt: now() }
  const oauthClient = changed(defaults, input, now())
  const refused = refusedGrants(oauthClient)
  if (refused) return refused
  const secret = confidential ? makeOAuthClientSecret() : undefined
  const hash = secret === undefined ? null : sha256Hex(secret)
  sql.exec('INSERT INTO clients VALUES (?, ?, ?)', clientId, hash, JSON.stringify(oauthClient))
  audit('client.create', clientId, by, rightsOf(oauthClient))
  return { oauthClient, secret }
}

function updateOAuthClient(
  { sql, now, audit }: StoreContext,
  { sessions, revocations }: OAuthClientParts,
  clientId: string,
  change: OAuthClientChange,
  by: Actor,
  revocation: SubjectRevocation | undefined,
): CreatedOAuthClient | StoreRefusal {
  const before = findOAuthClient(sql, clientId)
  const invalid = invalidField(oauthClientChange, change)
  if (invalid) return invalid
  if (!before) return 'unknown'
  const oauthClient = changed(before, change, now())
  const refused = change.newSecret && !oauthClient.confidential ? PUBLIC_SECRET : refusedGrants(oauthClient)
  if (refused) return refused
  const secret = change.newSecret ? makeOAuthClientSecret() : undefined
  const hash = secret === undefined ? null : sha256Hex(secret)
  const query = 'UPDATE clients SET data = ?, hash = COALESCE(?, hash) WHERE key = ?'
  sql.exec(query, JSON.stringify(oauthClient), hash, clientId)
  if (oauthClient.disabled) sessions.endOfOAuthClient(clientId)
  revocations.addSubject(clientId, revocation)
  const rights = { before: rightsOf(before), ...rightsOf(oauthClient) }
  audit('client.update', clientId, by, { fields: Object.keys(change), ...rights })
  return { oauthClient, secret }
}

const NEW_OAUTH_CLIENT = {
  name: undefined,
  disabled: false,
  grants: ['client_credentials'],
  scopes: [],
  roles: [],
} as const
const PUBLIC_SECRET = 'invalid: newSecret: a public client has none'

/** A public client cannot authenticate, so it cannot use client_credentials (RFC 6749 §4.4). */
function refusedGrants({ confidential, grants }: OAuthClient): Invalid | undefined {
  if (confidential || !grants.includes('client_credentials')) return undefined
  return 'invalid: grants: a public client cannot have client_credentials'
}

function changed(oauthClient: OAuthClient, change: OAuthClientChange, now: number): OAuthClient {
  return {
    ...oauthClient,
    name: change.name === undefined ? oauthClient.name : (change.name ?? undefined),
    disabled: change.disabled ?? oauthClient.disabled,
    grants: change.grants ?? oauthClient.grants,
    scopes: change.scopes ?? oauthClient.scopes,
    roles: change.roles ?? oauthClient.roles,
    updatedAt: now,
  }
}

function rightsOf({ disabled, confidential, grants, scopes, roles }: OAuthClient) {
  return { disabled, confidential, grants, scopes, roles }
}
