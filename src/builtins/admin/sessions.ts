import * as z from 'zod/mini'
import type { IdentityClient } from '../../identity/api.ts'
import type { Session } from '../../identity/types.ts'
import { actorOf, makeListHandler, pageQuery, resultOrProblem, type AdminEndpoint } from './endpoint.ts'
import { formatTime, text } from './fields.ts'

const sessionQuery = z.extend(pageQuery, { owner: z.exactOptional(text) })

/** The endpoints of sessions, which are the logins that can be refreshed. Ending one revokes its access tokens too. */
export function makeSessionEndpoints(identity: IdentityClient): AdminEndpoint[] {
  return [
    {
      path: 'sessions',
      handlers: {
        GET: makeListHandler('sessions', sessionQuery, (request) => identity.listSessions(request), sessionBody),
      },
    },
    {
      path: 'sessions/{id}',
      handlers: {
        DELETE: async ({ name, x }) => {
          const ended = resultOrProblem(await identity.revokeSession(name, actorOf(x)), `session with the id "${name}"`)
          return ended instanceof Response ? ended : { id: name, revoked: true }
        },
      },
    },
  ]
}

function sessionBody({ id, username, clientId, scopes, startedAt, expiresAt, endsAt }: Session): object {
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
