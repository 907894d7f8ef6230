import type { Exchange } from '../exchange.ts'

/** The longest a refresh may take, in milliseconds: the platform ends work that outlives its request after 30 s. */
const LONGEST_MS = 20_000

/** An exchange that asks what `x` asks, for nobody: its client may leave without ending it, and nothing in `x` changes. */
export function detach(x: Exchange, now: number): Exchange {
  const { id, request, headers, route, path, params, client, outgoing, identity, waitUntil } = x
  return {
    id,
    request: plain(request),
    headers: ownOf(headers),
    route,
    path,
    params,
    client,
    outgoing: { ...outgoing, headers: ownOf(outgoing.headers), body: null },
    signal: new AbortController().signal,
    startedAt: now,
    deadline: now + LONGEST_MS,
    waitUntil,
    identity,
    edits: [],
    attempts: 0,
    target: undefined,
    clientFault: undefined,
    trace: undefined,
  }
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
