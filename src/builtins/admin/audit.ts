import type { Exchange } from '../../core/exchange.ts'
import type { Platform } from '../../core/platform.ts'
import type { IdentityClient } from '../../identity/api.ts'
import type { AuditEntry } from '../../identity/types.ts'
import { isLogged } from '../../telemetry/access-log.ts'
import { actorOf, makeListHandler, pageQuery, type AdminEndpoint } from './endpoint.ts'
import { formatTime } from './fields.ts'

/** A change of an upstream that an operator has made or tried to make. */
interface UpstreamChange {
  readonly resource: string
  readonly upstream: string
  readonly target?: string
  readonly before: unknown
  /** `unknown` when the object did not respond in time; the change may have been made. */
  readonly after: unknown
}

/**
 * Makes the recorder of changes, which writes each to the audit log and as a JSON log line with its author and request. The line has level `warn`,
 * so that it appears at every usual log level. A change stands although the audit log is unreachable, because it may be what ends an outage; the
 * line then has `audited: false`.
 */
export function makeAuditRecorder(
  platform: Pick<Platform, 'variable' | 'now'>,
  identity: IdentityClient,
): (x: Exchange, change: UpstreamChange) => Promise<void> {
  const isWritten = isLogged('warn', platform.variable('LOG_LEVEL'))
  return async (x, change) => {
    const { resource, upstream, ...details } = change
    const recorded = await identity.recordChange(`${resource}.steer`, upstream, details, actorOf(x))
    if (!isWritten) return
    const time = new Date(platform.now()).toISOString()
    const who = x.identity && { provider: x.identity.provider, issuer: x.identity.issuer, subject: x.identity.subject }
    const failure = recorded === 'recorded' ? {} : { audited: false }
    console.log(
      JSON.stringify({
        time,
        level: 'warn',
        event: 'admin',
        ...change,
        ...failure,
        who,
        client: x.client.ip,
        id: x.id,
      }),
    )
  }
}

/** Makes the function that tells the identity store the retention of this deployment, once an isolate; again while the store does not respond. */
export function makeRetentionSetter(
  { auditRetention }: Pick<Platform, 'auditRetention'>,
  identity: IdentityClient,
): (x: Exchange) => void {
  let isSet = false
  return (x) => {
    if (isSet) return
    isSet = true
    const set = async () => {
      isSet = (await identity.setAuditRetention(auditRetention)) === 'set'
    }
    x.waitUntil(set())
  }
}

/** The endpoint of the audit log, newest entry first. Entries cannot be changed. */
export function makeAuditEndpoints(identity: IdentityClient): AdminEndpoint[] {
  return [
    {
      path: 'audit',
      handlers: {
        GET: makeListHandler('audit', pageQuery, (request) => identity.auditLog(request), entryBody),
      },
    },
  ]
}

const entryBody = ({ at, ...entry }: AuditEntry): object => ({ ...entry, at: formatTime(at) })
