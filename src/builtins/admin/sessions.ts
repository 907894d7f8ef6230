import * as z from 'zod/mini'
import type { Session } from '../../identity/types.ts'
import { type Endpoint, actorOf, resultResponse, pageQuery, readQuery, pageBody } from './endpoint.ts'
import { shownTime, text } from './fields.ts'
import type { IdentityClient } from '../../identity/api.ts'

const sessionQuery = z.extend(pageQuery, { owner: z.exactOptional(text) })

/** Logins that can be refreshed: all that follows from one password. To end one ends its access tokens too. */
export function makeSessionEndpoints(identity: IdentityClient): Endpoint[] {
  return [
    {
      path: 'sessions',
      on: {
        GET: async ({ query }) => {
          const ask = readQuery(query, sessionQuery)
          if (ask instanceof Response) return ask
          const page = resultResponse(await identity.listFamilies(ask), 'session')
          return page instanceof Response ? page : pageBody('sessions', page, shownSession)
        },
      },
    },
    {
      path: 'sessions/{id}',
      on: {
        DELETE: async ({ name, x }) => {
          const gone = resultResponse(await identity.revokeFamily(name, actorOf(x)), `session with the id "${name}"`)
          return gone instanceof Response ? gone : { id: name, revoked: true }
        },
      },
    },
  ]
}

function shownSession({ id, username, clientId, scopes, startedAt, expiresAt, endsAt }: Session): object {
  return {
    id,
    username,
    client_id: clientId === '' ? null : clientId,
    scopes,
    started_at: shownTime(startedAt),
    expires_at: shownTime(expiresAt),
    ends_at: shownTime(endsAt),
  }
}
