/**
 * What the set `full` cannot do without: the calls into the runtime that one request of it needs, and nothing between them. No route is looked up, no
 * token is looked at, nothing is counted, decided or traced. What this costs above the five-line Worker is the runtime's; what `full` costs above this
 * is the gateway's own.
 */
export default {
  fetch(request: Request, env: { BENCH_ORIGIN: string }, context: ExecutionContext): Promise<Response> {
    const answer = pass(request, env.BENCH_ORIGIN)
    // So that a client which resets leaves nothing behind.
    context.waitUntil(answer)
    return answer
  },
}

/** Forwarding, the deadline, the try, the trace and the identity, as an origin of `full` gets them. */
const ADDED = {
  'x-forwarded-proto': 'http',
  'x-request-timeout-ms': '1000',
  'x-attempt': '1',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02',
  'x-auth-subject': 'user-42',
  'x-auth-issuer': 'https://id.example.com/',
  'x-auth-scopes': 'users:read',
}

async function pass(request: Request, origin: string): Promise<Response> {
  const headers: Record<string, string> = {}
  request.headers.forEach((value, name) => (headers[name] = value))
  const path = new URL(request.url).pathname
  const client = String(request.cf?.['clientIp'])
  const { signal } = new AbortController()
  const timer = setTimeout(() => {}, 1_000)
  const response = await fetch(origin + path, {
    method: request.method,
    headers: { ...headers, ...ADDED, 'x-forwarded-for': client, 'x-forwarded-host': headers['host'] ?? '' },
    body: null,
    redirect: 'manual',
    signal,
  })
  clearTimeout(timer)
  const answer = new Response(response.body, response)
  answer.headers.set('ratelimit-policy', '"bench";q=1000000000;w=60')
  answer.headers.set('ratelimit', '"bench";r=999999999;t=60')
  console.log(JSON.stringify({ event: 'request', method: request.method, path, status: answer.status, client }))
  return answer
}
