import { insecureUrls } from './config/environment.ts'
import type { Config } from './config/routes-file.ts'
import { diagnosticText } from './config/schema/diagnostic.ts'
import type { Platform } from './core/platform.ts'
import { problem } from './core/problem.ts'
import { compileAdmission, injectedHeaders } from './ingress/admit.ts'
import { AdmittedExchange, type IncomingRequest } from './ingress/admitted-exchange.ts'
import { compileClientReader } from './ingress/client.ts'
import { drainUpload, makeFinish } from './ingress/finish.ts'
import { compileHeaderReader, readRequest } from './ingress/headers.ts'
import { compileRoute, type CompiledRoute } from './route.ts'
import { makeErrorReporter } from './telemetry/errors.ts'
import { makeTraceId, parseTraceparent } from './telemetry/trace-context.ts'
import { makeTracing } from './telemetry/tracing.ts'
import { makeUpstream, type Upstream } from './upstream/upstream.ts'

/** The gateway as a Worker's default export calls it. */
export interface Gateway {
  readonly fetch: (
    request: Request,
    env: unknown,
    context: Pick<ExecutionContext, 'waitUntil'>,
  ) => Promise<Response> | Response
}

/** Makes the gateway for `config`. Throws when a `$env` variable holds no URL, or one that `transport` does not allow. */
export function makeGateway(config: Config, platform: Platform): Gateway {
  const insecure = insecureUrls(config, platform.variable)
  if (insecure.length > 0) throw new Error(insecure.map(diagnosticText).join('\n'))
  const handle = makeRequestHandler(config, platform)
  // No Hono here: its context, its router and its promise cost every request, and there is one route.
  return { fetch: (request, _, context) => handle(request, (work) => context.waitUntil(work)) }
}

type RequestHandler = (request: Request, waitUntil: IncomingRequest['waitUntil']) => Response | Promise<Response>

function makeRequestHandler(config: Config, platform: Platform): RequestHandler {
  const readHeaders = compileHeaderReader(injectedHeaders(config))
  const readClient = compileClientReader(config.clientAddress)
  const admit = compileAdmission(config)
  const routeOf = makeRouteTable(config, platform)
  const tracing = makeTracing(platform)
  const finish = makeFinish(platform, tracing)
  const reportError = makeErrorReporter(platform)
  let inFlight = 0

  return (request, waitUntil) => {
    inFlight++
    const startedAt = platform.now()
    const received = readRequest(request, readHeaders)
    const { all } = received.headers
    const trace = tracing?.begin(all, startedAt)
    const id = trace?.id ?? callerTraceId(all['traceparent']) ?? makeTraceId()
    const incoming: IncomingRequest = { id, received, client: readClient(received), startedAt, trace, waitUntil }
    let x: AdmittedExchange | undefined
    const end = (response: Response) => drainUpload(incoming, finish(incoming, response, inFlight--, x))
    // The outermost guard: an unexpected error becomes a problem that still gets its CORS headers, log line and span.
    const fail = (error: unknown) => {
      reportError(error, { id, route: x?.route, request }, waitUntil)
      return end(problem('internal-error'))
    }
    try {
      const admitted = admit(received, incoming.client)
      if (admitted instanceof Response) return end(admitted)
      const route = routeOf(admitted.index)
      x = new AdmittedExchange(incoming, admitted, config.routes[admitted.index]!.id)
      const done = (trace?.sampled ? route.traced : route.handler)(x).then(end, fail)
      // A client's reset cancels this handler. `waitUntil` keeps the work alive, so that counts are released and the request is logged.
      waitUntil(done)
      return done
    } catch (error) {
      return fail(error)
    }
  }
}

/** The trace id of a valid `traceparent`: without tracing, the gateway logs under it. */
function callerTraceId(inbound: string | undefined): string | undefined {
  return inbound === undefined ? undefined : parseTraceparent(inbound)?.traceId
}

/** Routes by index, each compiled at its first match and kept. */
function makeRouteTable(config: Config, platform: Platform): (index: number) => CompiledRoute {
  const upstreams: Record<string, Upstream> = {}
  for (const [name, upstream] of Object.entries(config.upstreams))
    upstreams[name] = makeUpstream(name, upstream, platform)
  const compiled: CompiledRoute[] = []
  return (index) => (compiled[index] ??= compileRoute(config.routes[index]!, upstreams, platform))
}
