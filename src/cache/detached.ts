import { makeBackgroundExchange } from '../core/background-exchange.ts'
import type { Exchange } from '../core/exchange.ts'

/** An exchange that asks what `x` asks, for nobody. */
export function detach(x: Exchange, now: number): Exchange {
  const { request, headers, outgoing } = x
  const asked = { ...outgoing, headers: ownOf(outgoing.headers), body: null }
  return { ...makeBackgroundExchange(x, asked, now), request: plain(request), headers: ownOf(headers) }
}

/** What the client wants of its own answer says nothing about the one that is kept. */
function plain(request: Request): Request {
  const headers = new Headers(request.headers)
  for (const name of request.headers.keys()) if (WISH.test(name)) headers.delete(name)
  // Where it came in decides who is asked whether somebody is fetching it already.
  return new Request(request.url, { headers, ...(request.cf && { cf: request.cf as RequestInitCfProperties }) })
}

const WISH = /^(?:cache-control|pragma|range|if-.*)$/

function ownOf(headers: Readonly<Record<string, string>>): Record<string, string> {
  const own = Object.create(null) as Record<string, string>
  for (const [name, value] of Object.entries(headers)) if (!WISH.test(name)) own[name] = value
  return own
}
