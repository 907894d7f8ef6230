import * as z from 'zod/mini'
import type { Platform } from '../../core/platform.ts'
import type { IdentityClient } from '../../identity/api.ts'
import type { ApiKey } from '../../identity/types.ts'
import { readChange } from './change.ts'
import { actorOf, jsonResponse, makeListHandler, pageQuery, resultOrProblem, type AdminEndpoint } from './endpoint.ts'
import { accountName, formatTime, rights, text, timeAfter } from './fields.ts'

const keyQuery = z.extend(pageQuery, { owner: z.exactOptional(accountName) })

/** The endpoints of API keys. Only the response that creates a key contains it; later requests name it by its id. */
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
        GET: makeListHandler('keys', keyQuery, (request) => identity.listApiKeys(request), keyBody),
        POST: async ({ x }) => {
          const read = await readChange(x, newKey)
          if (read instanceof Response) return read
          const { expires_at: expiresAt, ...fields } = read.value
          const wanted = { ...fields, ...(expiresAt !== undefined && { expiresAt }) }
          const created = resultOrProblem(await identity.createApiKey(wanted, actorOf(x)), 'key')
          return created instanceof Response
            ? created
            : jsonResponse({ ...keyBody(created.apiKey), key: created.key }, 201)
        },
      },
    },
    {
      path: 'keys/{id}',
      handlers: {
        DELETE: async ({ name, x }) => {
          const revoked = resultOrProblem(await identity.revokeApiKey(name, actorOf(x)), `key with the id "${name}"`)
          return revoked instanceof Response ? revoked : keyBody(revoked)
        },
      },
    },
  ]
}

function keyBody({ expiresAt, createdAt, revokedAt, ...key }: ApiKey): object {
  return {
    ...key,
    expires_at: formatTime(expiresAt),
    created_at: formatTime(createdAt),
    revoked_at: formatTime(revokedAt),
  }
}

const replacement = z.strictObject({ replace: z.literal(true) })

/** The endpoint that replaces a leaked signing key. Keys rotate automatically, so there is no other operation. */
export function makeSigningKeyEndpoints(identity: IdentityClient): AdminEndpoint[] {
  return [
    {
      path: 'signing-keys',
      handlers: {
        POST: async ({ x }) => {
          const read = await readChange(x, replacement)
          if (read instanceof Response) return read
          const replaced = resultOrProblem(await identity.replaceSigningKeys(actorOf(x)), 'key')
          return replaced instanceof Response ? replaced : { replaced: true }
        },
      },
    },
  ]
}
