import * as z from 'zod/mini'
import type { Family } from '../../identity/types.ts'
import { type Endpoint, actorOf, settled, pageQuery, readQuery, shownPage } from './endpoint.ts'
import { shownTime, text } from './fields.ts'
import type { IdentityClient } from '../../identity/api.ts'

const sessionQuery = z.extend(pageQuery, { owner: z.exactOptional(text) })

/** Logins that can be refreshed: all that follows from one password. To end one ends its access tokens too. */
export function makeSessions(identity: IdentityClient): Endpoint[] {
  return [
    {
      path: 'sessions',
      on: {
        GET: async ({ query }) => {
          const ask = readQuery(query, sessionQuery)
          if (ask instanceof Response) return ask
          const page = settled(await identity.listFamilies(ask), 'session')
          return page instanceof Response ? page : shownPage('sessions', page, shownSession)
        },
      },
    },
    {
      path: 'sessions/{id}',
      on: {
        DELETE: async ({ name, x }) => {
          const gone = settled(await identity.revokeFamily(name, actorOf(x)), `session with the id "${name}"`)
          return gone instanceof Response ? gone : { id: name, revoked: true }
        },
      },
    },
  ]
}

function shownSession({ id, username, clientId, scopes, startedAt, expiresAt, endsAt }: Family): object {
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
