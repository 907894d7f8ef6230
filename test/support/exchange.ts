import type { Exchange } from '../../src/core/exchange.ts'

/** An exchange as the gateway makes it for `request`, with parts replaced; `settled()` waits for its `waitUntil` work. */
export function makeTestExchange(
  request: Request = new Request('https://gw.test/users/7'),
  parts: Partial<Exchange> = {},
): Exchange & { settled: () => Promise<unknown> } {
  const url = new URL(request.url)
  const work: Promise<unknown>[] = []
  return {
    id: '0af7651916cd43dd8448eb211c80319c',
    request,
    headers: headersOf(request),
    route: 'test',
    path: url.pathname,
    params: {},
    client: { ip: '192.0.2.1', forwardedFor: '192.0.2.1', scheme: 'https', host: url.host, country: undefined },
    outgoing: {
      method: request.method,
      path: url.pathname,
      search: url.search,
      headers: Object.fromEntries(request.headers),
      hasOpaqueValues: false,
      body: request.body,
    },
    signal: request.signal,
    startedAt: Date.now(),
    deadline: Infinity,
    waitUntil: (promise) => void work.push(promise),
    identity: undefined,
    edits: [],
    attempts: 0,
    target: undefined,
    uploadProblem: undefined,
    trace: undefined,
    ...parts,
    settled: async () => {
      while (work.length > 0) await work.shift()
    },
  }
}

/** Without what every object inherits, as the gateway reads them: a header may be called `constructor`. */
export function headersOf({ headers }: Request): Record<string, string> {
  return Object.assign(Object.create(null) as Record<string, string>, Object.fromEntries(headers))
}
