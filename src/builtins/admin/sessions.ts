import * as z from 'zod/mini'
import type { Session } from '../../identity/types.ts'
import { type AdminEndpoint, actorOf, resultOrProblem, pageQuery, readQuery, pageBody } from './endpoint.ts'
import { formatTime, text } from './fields.ts'
import type { IdentityClient } from '../../identity/api.ts'

const sessionQuery = z.extend(pageQuery, { owner: z.exactOptional(text) })

/** Logins that can be refreshed: all that follows from one password. To end one ends its access tokens too. */
export function makeSessionEndpoints(identity: IdentityClient): AdminEndpoint[] {
  return [
    {
      path: 'sessions',
      handlers: {
        GET: async ({ query }) => {
          const ask = readQuery(query, sessionQuery)
          if (ask instanceof Response) return ask
          const page = resultOrProblem(await identity.listSessions(ask), 'session')
          return page instanceof Response ? page : pageBody('sessions', page, shownSession)
        },
      },
    },
    {
      path: 'sessions/{id}',
      handlers: {
        DELETE: async ({ name, x }) => {
          const gone = resultOrProblem(await identity.revokeSession(name, actorOf(x)), `session with the id "${name}"`)
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
    started_at: formatTime(startedAt),
    expires_at: formatTime(expiresAt),
    ends_at: formatTime(endsAt),
  }
}
