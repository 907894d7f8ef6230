import type { Exchange } from '../../core/exchange.ts'
import type { AuditEntry } from '../../identity/types.ts'
import type { Platform } from '../../core/platform.ts'
import { isLogged } from '../../telemetry/access-log.ts'
import { actorOf, type AdminEndpoint, resultOrProblem, pageQuery, readQuery, pageBody } from './endpoint.ts'
import { formatTime } from './fields.ts'
import type { IdentityClient } from '../../identity/api.ts'

/** One change that an operator has made, or has tried to make, to an upstream. */
export interface UpstreamChange {
  readonly resource: string
  readonly upstream: string
  readonly target?: string
  readonly before: unknown
  /** `unknown` when the object took too long to say: the change may have been made all the same. */
  readonly after: unknown
}

/**
 * Writes each change to the audit log and as a JSON line: who made it, from where, in which request. The line has level `warn`, because it matters
 * wherever anything is logged. An audit log that cannot be reached does not undo the change, which may be what ends an outage: the line then says
 * `audited: false`.
 */
export function makeAuditRecorder(
  platform: Pick<Platform, 'variable' | 'now'>,
  identity: IdentityClient,
): (x: Exchange, act: UpstreamChange) => Promise<void> {
  const isWritten = isLogged('warn', platform.variable('LOG_LEVEL'))
  return async (x, act) => {
    const { resource, upstream, ...details } = act
    const recorded = await identity.recordChange(`${resource}.steer`, upstream, details, actorOf(x))
    if (!isWritten) return
    const time = new Date(platform.now()).toISOString()
    const who = x.identity && { provider: x.identity.provider, issuer: x.identity.issuer, subject: x.identity.subject }
    const lost = recorded === 'recorded' ? {} : { audited: false }
    console.log(
      JSON.stringify({ time, level: 'warn', event: 'admin', ...act, ...lost, who, client: x.client.ip, id: x.id }),
    )
  }
}

/** Who changed what, newest first. There is no way to change it. */
export function makeAuditEndpoints(identity: IdentityClient): AdminEndpoint[] {
  return [
    {
      path: 'audit',
      handlers: {
        GET: async ({ query }) => {
          const ask = readQuery(query, pageQuery)
          if (ask instanceof Response) return ask
          const page = resultOrProblem(await identity.auditLog(ask), 'entry')
          return page instanceof Response ? page : pageBody('audit', page, shownEntry)
        },
      },
    },
  ]
}

const shownEntry = ({ at, ...entry }: AuditEntry): object => ({ ...entry, at: formatTime(at) })
