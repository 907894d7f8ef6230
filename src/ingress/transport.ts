import type { Client } from '../core/exchange.ts'
import { problem } from '../core/problem.ts'
import { rawSearch } from '../lib/canonical-path.ts'

/** What a request by plain HTTP is answered for its way alone; undefined when it may go on. */
export type TransportCheck = (request: Request, client: Client, path: string, route: number) => Response | undefined

/**
 * Compiles `transport.clients`; `insecure` says of each route, by index, whether it answers plain HTTP all the same. A redirect keeps method and
 * body (308); what the client has sent by then was readable on the way, which is why refusing is the better choice for an API.
 */
export function compileTransportCheck(
  clients: 'any' | 'https' | 'redirect',
  insecure: readonly boolean[],
): TransportCheck {
  if (clients === 'any') return () => undefined
  return (request, { scheme, host }, path, route) => {
    if (scheme === 'https' || insecure[route]) return undefined
    if (clients === 'https') return problem('https-required')
    const name = host.replace(/:\d+$/, '')
    // HTTP/1.0 need not say what host it means, and there is no better guess.
    if (name === '') return problem('https-required')
    const location = `https://${name}${path}${rawSearch(request.url)}`
    return new Response(null, { status: 308, headers: { location, 'cache-control': 'no-store' } })
  }
}
