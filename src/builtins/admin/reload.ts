import type { Platform } from '../../core/platform.ts'
import { problem } from '../../core/problem.ts'
import type { IdentityClient } from '../../identity/api.ts'
import { actorOf, type AdminEndpoint } from './endpoint.ts'

/** The longest reason that is passed on, in characters. */
const MAX_REASON = 4_096

/**
 * The endpoint that makes a self-hosted gateway read its routes file again, in all processes of the machine. Elsewhere there is no such endpoint. A
 * file with mistakes changes nothing, and the response is 400 with them.
 */
export function makeReloadEndpoints(
  { supervisor }: Pick<Platform, 'supervisor'>,
  identity: IdentityClient,
): AdminEndpoint[] {
  if (supervisor === undefined) return []
  return [
    {
      path: 'reload',
      handlers: {
        POST: async ({ x }) => {
          const response = await supervisor.fetch('http://supervisor/', { method: 'POST' })
          if (!response.ok) return problem('admin-invalid', { detail: (await response.text()).slice(0, MAX_REASON) })
          const recorded = await identity.recordChange('routes.reload', '', {}, actorOf(x))
          return { reloaded: true, audited: recorded === 'recorded' }
        },
      },
    },
  ]
}
