import * as z from 'zod/mini'
import { choice, distinct } from '../../config/schema/scalars.ts'
import { GRANTS, type OAuthClient, type CreatedOAuthClient } from '../../identity/types.ts'
import type { Platform } from '../../core/platform.ts'
import { readChange, revokeTokensOf, makeSubjectRevocation } from './change.ts'
import {
  jsonResponse,
  type AdminHandler,
  type AdminEndpoint,
  actorOf,
  resultOrProblem,
  pageQuery,
  readQuery,
  pageBody,
} from './endpoint.ts'
import { accountName, rights, formatTime, text } from './fields.ts'
import type { IdentityClient } from '../../identity/api.ts'

const settings = {
  name: z.exactOptional(z.nullable(text)),
  disabled: z.exactOptional(z.boolean()),
  grants: z.exactOptional(z.array(choice(GRANTS)).check(distinct())),
  ...rights,
}
const newClient = z.strictObject({
  client_id: accountName,
  confidential: z.exactOptional(z.boolean()),
  ...settings,
})
const clientChange = z.strictObject({ new_secret: z.exactOptional(z.literal(true)), ...settings })

/** OAuth clients. A secret is shown when it is made, and never again. */
export function makeOAuthClientEndpoints(platform: Platform, identity: IdentityClient): AdminEndpoint[] {
  const cutoff = makeSubjectRevocation(platform)

  const create: AdminHandler = async ({ x }) => {
    const read = await readChange(x, newClient)
    if (read instanceof Response) return read
    const { client_id: clientId, ...fields } = read.change
    const made = resultOrProblem(
      await identity.createOAuthClient({ clientId, ...fields }, actorOf(x)),
      `client "${clientId}"`,
    )
    return made instanceof Response ? made : jsonResponse(shownMade(made), 201)
  }

  const change: AdminHandler = async ({ name, x }) => {
    const read = await readChange(x, clientChange)
    if (read instanceof Response) return read
    const { new_secret: newSecret, ...fields } = read.change
    const by = actorOf(x)
    const wanted = { ...fields, ...(newSecret && { newSecret }) }
    const changed = resultOrProblem(await identity.updateOAuthClient(name, wanted, by), `client "${name}"`)
    if (changed instanceof Response) return changed
    const hasNewRights = fields.roles !== undefined || fields.scopes !== undefined
    const isOver = fields.disabled === true || hasNewRights || newSecret === true
    // A new secret is in this answer alone: it is given out whether or not the old tokens could be ended.
    const ended = isOver ? await revokeTokensOf(identity, name, cutoff(), by) : 'revoked'
    return { ...shownMade(changed), ...(ended !== 'revoked' && { tokens_revoked: false }) }
  }

  const remove: AdminHandler = async ({ name, x }) => {
    const by = actorOf(x)
    const gone = resultOrProblem(await identity.removeOAuthClient(name, by), `client "${name}"`)
    if (gone instanceof Response) return gone
    const ended = await revokeTokensOf(identity, name, cutoff(), by)
    return { client_id: name, removed: true, ...(ended !== 'revoked' && { tokens_revoked: false }) }
  }

  return [
    {
      path: 'clients',
      handlers: {
        GET: async ({ query }) => {
          const ask = readQuery(query, pageQuery)
          if (ask instanceof Response) return ask
          const page = resultOrProblem(await identity.listOAuthClients(ask), 'client')
          return page instanceof Response ? page : pageBody('clients', page, shownClient)
        },
        POST: create,
      },
    },
    {
      path: 'clients/{client_id}',
      handlers: {
        GET: async ({ name }) => {
          const found = resultOrProblem(await identity.getOAuthClient(name), `client "${name}"`)
          return found instanceof Response ? found : shownClient(found)
        },
        PATCH: change,
        DELETE: remove,
      },
    },
  ]
}

function shownMade({ oauthClient: client, secret }: CreatedOAuthClient): object {
  return { ...shownClient(client), ...(secret !== undefined && { client_secret: secret }) }
}

function shownClient({ clientId, createdAt, updatedAt, ...client }: OAuthClient): object {
  return {
    client_id: clientId,
    ...client,
    name: client.name ?? null,
    created_at: formatTime(createdAt),
    updated_at: formatTime(updatedAt),
  }
}
