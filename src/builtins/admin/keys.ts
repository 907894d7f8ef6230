import * as z from 'zod/mini'
import type { ApiKey } from '../../identity/types.ts'
import type { Platform } from '../../core/platform.ts'
import { readChange } from './change.ts'
import { jsonResponse, type AdminEndpoint, actorOf, resultOrProblem, pageQuery, readQuery, pageBody } from './endpoint.ts'
import { accountName, rights, formatTime, text, timeAfter } from './fields.ts'
import type { IdentityClient } from '../../identity/api.ts'

const keyQuery = z.extend(pageQuery, { owner: z.exactOptional(accountName) })

/** API keys. A key is shown when it is made, and never again; afterwards it is spoken of by its id. */
export function makeApiKeyEndpoints({ now }: Pick<Platform, 'now'>, identity: IdentityClient): AdminEndpoint[] {
  const newKey = z.strictObject({
    owner: accountName,
    tier: z.exactOptional(text),
    expires_at: z.exactOptional(timeAfter(now)),
    ...rights,
  })
  return [
    {
      path: 'keys',
      handlers: {
        GET: async ({ query }) => {
          const ask = readQuery(query, keyQuery)
          if (ask instanceof Response) return ask
          const page = resultOrProblem(await identity.listApiKeys(ask), 'key')
          return page instanceof Response ? page : pageBody('keys', page, shownKey)
        },
        POST: async ({ x }) => {
          const read = await readChange(x, newKey)
          if (read instanceof Response) return read
          const { expires_at: expiresAt, ...fields } = read.change
          const wanted = { ...fields, ...(expiresAt !== undefined && { expiresAt }) }
          const made = resultOrProblem(await identity.createApiKey(wanted, actorOf(x)), 'key')
          return made instanceof Response ? made : jsonResponse({ ...shownKey(made.apiKey), key: made.key }, 201)
        },
      },
    },
    {
      path: 'keys/{id}',
      handlers: {
        DELETE: async ({ name, x }) => {
          const revoked = resultOrProblem(await identity.revokeApiKey(name, actorOf(x)), `key with the id "${name}"`)
          return revoked instanceof Response ? revoked : shownKey(revoked)
        },
      },
    },
  ]
}

function shownKey({ expiresAt, createdAt, revokedAt, ...key }: ApiKey): object {
  return {
    ...key,
    expires_at: formatTime(expiresAt),
    created_at: formatTime(createdAt),
    revoked_at: formatTime(revokedAt),
  }
}

const order = z.strictObject({ replace: z.literal(true) })

/** For a signing key that leaked. Keys rotate by themselves: nothing else is to be done with them. */
export function makeSigningKeyEndpoints(identity: IdentityClient): AdminEndpoint[] {
  return [
    {
      path: 'signing-keys',
      handlers: {
        POST: async ({ x }) => {
          const read = await readChange(x, order)
          if (read instanceof Response) return read
          const done = resultOrProblem(await identity.replaceSigningKeys(actorOf(x)), 'key')
          return done instanceof Response ? done : { replaced: true }
        },
      },
    },
  ]
}
