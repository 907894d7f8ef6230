/**
 * Makes the calls into the runtime that one request of the set `full` requires, and nothing else: no route is matched, no token is verified, nothing is
 * counted or traced. The cost of this above the pass-through Worker is the runtime's; the cost of `full` above this is the gateway's own.
 */
export default {
  fetch(request: Request, env: { BENCH_ORIGIN: string }, context: ExecutionContext): Promise<Response> {
    const response = pass(request, env.BENCH_ORIGIN)
    // So that the work completes when the client resets.
    context.waitUntil(response)
    return response
  },
}

/** The fields of forwarding, trace and identity that an origin of `full` receives. */
const ADDED = {
  'x-forwarded-proto': 'http',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02',
  'x-auth-subject': 'user-42',
  'x-auth-scopes': 'users:read',
}

async function pass(request: Request, origin: string): Promise<Response> {
  const headers: Record<string, string> = {}
  request.headers.forEach((value, name) => (headers[name] = value))
  const path = new URL(request.url).pathname
  const client = String(request.cf?.['clientIp'])
  const { signal } = new AbortController()
  const timer = setTimeout(() => {}, 1_000)
  const received = await fetch(origin + path, {
    method: request.method,
    headers: { ...headers, ...ADDED, 'x-forwarded-for': client, 'x-forwarded-host': headers['host'] ?? '' },
    body: null,
    redirect: 'manual',
    signal,
  })
  clearTimeout(timer)
  const response = new Response(received.body, received)
  response.headers.set('ratelimit-policy', '"bench";q=1000000000;w=60')
  response.headers.set('ratelimit', '"bench";r=999999999;t=60')
  console.log(JSON.stringify({ event: 'request', method: request.method, path, status: response.status, client }))
  return response
}
