import * as z from 'zod/mini'
import { choice, distinct } from '../../config/schema/scalars.ts'
import type { Platform } from '../../core/platform.ts'
import type { IdentityClient } from '../../identity/api.ts'
import { GRANTS, type CreatedOAuthClient, type OAuthClient, type SubjectRevocation } from '../../identity/types.ts'
import { makeSubjectRevocation, readChange } from './change.ts'
import {
  actorOf,
  jsonResponse,
  makeListHandler,
  pageQuery,
  resultOrProblem,
  type AdminEndpoint,
  type AdminHandler,
} from './endpoint.ts'
import { accountName, formatTime, rights, text } from './fields.ts'

const profile = {
  name: z.exactOptional(z.nullable(text)),
  disabled: z.exactOptional(z.boolean()),
  grants: z.exactOptional(z.array(choice(GRANTS)).check(distinct())),
  ...rights,
}
const newOAuthClient = z.strictObject({
  client_id: accountName,
  confidential: z.exactOptional(z.boolean()),
  ...profile,
})
const oauthClientChange = z.strictObject({ new_secret: z.exactOptional(z.literal(true)), ...profile })

/** The endpoints of OAuth clients. Only the response that creates a secret contains it. */
export function makeOAuthClientEndpoints(platform: Platform, identity: IdentityClient): AdminEndpoint[] {
  const tokensSoFar = makeSubjectRevocation(platform)
  return [
    {
      path: 'clients',
      handlers: {
        GET: makeListHandler('clients', pageQuery, (request) => identity.listOAuthClients(request), oauthClientBody),
        POST: makeCreateOAuthClient(identity),
      },
    },
    {
      path: 'clients/{client_id}',
      handlers: {
        GET: async ({ name }) => {
          const found = resultOrProblem(await identity.getOAuthClient(name), `client "${name}"`)
          return found instanceof Response ? found : oauthClientBody(found)
        },
        PATCH: makeUpdateOAuthClient(identity, tokensSoFar),
        DELETE: async ({ name, x }) => {
          const result = await identity.removeOAuthClient(name, actorOf(x), tokensSoFar())
          const removed = resultOrProblem(result, `client "${name}"`)
          return removed instanceof Response ? removed : { client_id: name, removed: true }
        },
      },
    },
  ]
}

function makeCreateOAuthClient(identity: IdentityClient): AdminHandler {
  return async ({ x }) => {
    const read = await readChange(x, newOAuthClient)
    if (read instanceof Response) return read
    const { client_id: clientId, ...fields } = read.value
    const result = await identity.createOAuthClient({ clientId, ...fields }, actorOf(x))
    const created = resultOrProblem(result, `client "${clientId}"`)
    return created instanceof Response ? created : jsonResponse(createdBody(created), 201)
  }
}

function makeUpdateOAuthClient(identity: IdentityClient, tokensSoFar: () => SubjectRevocation): AdminHandler {
  return async ({ name, x }) => {
    const read = await readChange(x, oauthClientChange)
    if (read instanceof Response) return read
    const { new_secret: newSecret, ...fields } = read.value
    const change = { ...fields, ...(newSecret && { newSecret }) }
    const hasNewRights = fields.roles !== undefined || fields.scopes !== undefined
    const endsTokens = fields.disabled === true || hasNewRights || newSecret === true
    const revocation = endsTokens ? tokensSoFar() : undefined
    const result = await identity.updateOAuthClient(name, change, actorOf(x), revocation)
    const updated = resultOrProblem(result, `client "${name}"`)
    return updated instanceof Response ? updated : createdBody(updated)
  }
}

function createdBody({ oauthClient, secret }: CreatedOAuthClient): object {
  return { ...oauthClientBody(oauthClient), ...(secret !== undefined && { client_secret: secret }) }
}

function oauthClientBody({ clientId, createdAt, updatedAt, ...oauthClient }: OAuthClient): object {
  return {
    client_id: clientId,
    ...oauthClient,
    name: oauthClient.name ?? null,
    created_at: formatTime(createdAt),
    updated_at: formatTime(updatedAt),
  }
}
