import type { Exchange } from '../../exchange.ts'
import type { Site } from '../../policy.ts'
import { isLogged } from '../../telemetry/log-level.ts'

/** One change that an operator has made, or has tried to make. */
export interface AdminAct {
  readonly resource: string
  readonly upstream: string
  readonly target?: string
  readonly before: unknown
  /** `unknown` when the object took too long to say: the change may have been made all the same. */
  readonly after: unknown
}

/** Writes a JSON line for each change: who made it, from where, in which request. Level `warn`, because it matters wherever anything is logged. */
export function makeAudit(site: Pick<Site, 'variable' | 'now'>): (x: Exchange, act: AdminAct) => void {
  if (!isLogged('warn', site.variable('LOG_LEVEL'))) return () => {}
  return ({ id, client, identity }, act) => {
    const time = new Date(site.now()).toISOString()
    const who = identity && { provider: identity.provider, issuer: identity.issuer, subject: identity.subject }
    console.log(JSON.stringify({ time, level: 'warn', event: 'admin', ...act, who, client: client.ip, id }))
  }
}
