import type { Exchange } from '../../core/exchange.ts'
import type { Actor } from '../../identity/types.ts'

/** Who makes a change; provider, issuer and subject are `''` behind a route that asks only for an address. */
export function actorOf({ identity, client, id }: Exchange): Actor {
  const { provider = '', issuer = '', subject = '' } = identity ?? {}
  return { provider, issuer, subject, client: client.ip, request: id }
}
