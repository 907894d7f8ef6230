import { env as bindings } from 'cloudflare:workers'
import type { Exchange } from '../../src/core/exchange.ts'
import { compose, type Handler, type Middleware } from '../../src/core/pipeline.ts'
import { problem, problemCode } from '../../src/core/problem.ts'
import type { ActiveTrace } from '../../src/telemetry/active-trace.ts'
import { makeErrorReporter } from '../../src/telemetry/errors.ts'
import { makeTracing, withSpan } from '../../src/telemetry/tracing.ts'
import { headersOf, makeTestExchange } from '../support/exchange.ts'

const env = bindings as unknown as Readonly<Record<string, string | undefined>>
const platform = {
  variable: (name: string) => env[name],
  now: Date.now,
  fetch: (url: string, init?: RequestInit) => fetch(url, init),
}
const tracing = makeTracing(platform)
const reportError = makeErrorReporter(platform)

const auth: Middleware = (next) => async (x) => (x.path === '/refused' ? problem('token-missing') : next(x))
const limit: Middleware = (next) => async (x) => {
  if (x.path === '/throws') throw new TypeError(`cannot read ${x.request.headers.get('authorization')}`)
  return next(x)
}

/** One try, traced as an upstream does; without ORIGIN nothing is sent. */
const send: Handler = async (x) => {
  const span = x.trace!.sampled ? x.trace!.start(x.request.method, 'client') : undefined
  const headers = new Headers({ traceparent: span?.traceparent ?? x.trace!.traceparent })
  if (x.trace!.tracestate) headers.set('tracestate', x.trace!.tracestate)
  const response = env['ORIGIN'] ? await fetch(`${env['ORIGIN']}${x.path}`, { headers }) : new Response()
  span?.set('http.response.status_code', response.status)
  span?.set('server.address', '127.0.0.1')
  if (response.status >= 500) span?.fail(String(response.status))
  span?.end()
  return response
}

const plain = compose([auth, limit], send)
const traced = compose([withSpan('auth', auth), withSpan('rateLimit', limit)], send)

async function serve(request: Request, waitUntil: Exchange['waitUntil']): Promise<Response> {
  const path = new URL(request.url).pathname
  const trace = tracing!.begin(headersOf(request), Date.now())
  const x = makeTestExchange(request, { id: trace.id, path, trace, waitUntil })
  const response = await (trace.sampled ? traced : plain)(x).catch((error: unknown) => {
    reportError(error, x, waitUntil)
    return problem('internal-error')
  })
  finish(trace, request, path, response, waitUntil)
  return response
}

function finish(
  trace: ActiveTrace,
  request: Request,
  path: string,
  response: Response,
  waitUntil: Exchange['waitUntil'],
) {
  const { status } = response
  const code = problemCode(response)
  const facts = {
    route: 'get-user',
    method: request.method,
    path,
    scheme: 'http',
    host: 'gw.test:8787',
    clientIp: '::1',
  }
  tracing!.finish(trace, { ...facts, userAgent: 'wrk', status, code, endedAt: Date.now() }, waitUntil)
}

/** `count` requests in a loop, each with a SERVER span, two policies and one try; no faster than they are exported. */
async function loop(count: number, sampled: string | null): Promise<Response> {
  const headers = sampled === null ? {} : { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-${sampled}` }
  const request = new Request('http://gw.test:8787/users/7', { headers })
  const x = makeTestExchange(request)
  const work: Promise<unknown>[] = []
  const before = settled()
  let spans = 0
  for (let done = 0; done < count; done++) {
    const trace = tracing!.begin(headersOf(request), Date.now())
    const response = trace.sampled ? await traced({ ...x, trace }) : empty
    finish(trace, request, x.path, response, (promise) => void work.push(promise))
    spans += trace.spans?.length ?? 0
    while (spans - (settled() - before) > 1_536) await scheduler.wait(1)
  }
  await Promise.all(work)
  return Response.json(tracing!.counters())
}

const settled = () => Object.values(tracing!.counters()).reduce((sum, count) => sum + count)

const empty = { status: 200 } as Response

const handler: ExportedHandler = {
  async fetch(request, _env, context) {
    const url = new URL(request.url)
    const waitUntil = (work: Promise<unknown>) => context.waitUntil(work)
    if (url.pathname === '/loop') return loop(Number(url.searchParams.get('n')), url.searchParams.get('sampled'))
    if (url.pathname === '/counts') return Response.json(tracing!.counters())
    return serve(request, waitUntil)
  },
}

export default handler
