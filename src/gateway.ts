import { Hono } from 'hono'
import { diagnosticText } from './config/schema/diagnostic.ts'
import type { Config } from './config/routes-file.ts'
import { insecureUrls } from './config/transport.ts'
import { injectedHeaders, compileAdmission } from './ingress/admit.ts'
import { AdmittedExchange, type IncomingRequest } from './ingress/admitted-exchange.ts'
import { compileClientReader } from './ingress/client.ts'
import { applyHeaderEdits } from './ingress/edits.ts'
import { compileHeaderReader, readRequest } from './ingress/headers.ts'
import type { Platform } from './core/platform.ts'
import { problem, problemCode } from './core/problem.ts'
import { compileRoute, type CompiledRoute } from './route.ts'
import { rawPath } from './lib/canonical-path.ts'
import { makeAccessLog } from './telemetry/access-log.ts'
import { makeErrorReporter } from './telemetry/errors.ts'
import { parseTraceparent, makeTraceId } from './telemetry/trace-context.ts'
import { makeTracing, type Tracing } from './telemetry/tracing.ts'
import { makeUpstream, type Upstream } from './upstream/upstream.ts'

/** The app at the door: its `fetch` answers every request as `config` says. Throws when a `$env` holds no URL, or one that `transport` does not allow. */
export function makeGateway(config: Config, platform: Platform): Hono {
  const insecure = insecureUrls(config, platform.variable)
  if (insecure.length > 0) throw new Error(insecure.map(diagnosticText).join('\n'))
  const readHeaders = compileHeaderReader(injectedHeaders(config))
  const readClient = compileClientReader(config.clientAddress)
  const admit = compileAdmission(config)
  const routeOf = makeRouteTable(config, platform)
  const tracing = makeTracing(platform)
  const finish = makeFinish(platform, tracing)
  const reportError = makeErrorReporter(platform)
  let inFlight = 0

  const answer = (request: Request, waitUntil: IncomingRequest['waitUntil']): Response | Promise<Response> => {
    inFlight++
    const startedAt = platform.now()
    const received = readRequest(request, readHeaders)
    const { all } = received.headers
    const trace = tracing?.begin(all, startedAt)
    const id = trace?.id ?? callerTraceId(all['traceparent']) ?? makeTraceId()
    const arrival: IncomingRequest = { id, received, client: readClient(received), startedAt, trace, waitUntil }
    let x: AdmittedExchange | undefined
    const end = (response: Response) => finish(arrival, response, inFlight--, x)
    // The one guard at the outside: whatever throws below becomes a problem that still gets its CORS headers, log line and span.
    const crash = (error: unknown) => {
      reportError(error, { id, route: x?.route, request }, waitUntil)
      return end(problem('internal-error'))
    }
    try {
      const admitted = admit(received, arrival.client)
      if (admitted instanceof Response) return end(admitted)
      const route = routeOf(admitted.index)
      x = new AdmittedExchange(arrival, admitted, config.routes[admitted.index]!.id)
      const done = (trace?.sampled ? route.traced : route.handler)(x).then(end, crash)
      // A client that resets drops this handler: whatever it has taken is given back, and logged, because the work itself is kept alive.
      waitUntil(done)
      return done
    } catch (error) {
      return crash(error)
    }
  }
  return new Hono().all('*', (c) => answer(c.req.raw, (work) => c.executionCtx.waitUntil(work)))
}

/** So that the log line of a gateway without tracing of its own can be found from the caller's trace. */
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

/** The last step of every answer: header edits, the log line, the end of the SERVER span. */
function makeFinish(platform: Platform, tracing: Tracing | undefined) {
  const log = makeAccessLog(platform.variable)
  return (arrival: IncomingRequest, response: Response, inFlight: number, x?: AdmittedExchange): Response => {
    const code = problemCode(response)
    if (code !== undefined) response.headers.set('x-request-id', arrival.id)
    const answer = x === undefined ? response : applyHeaderEdits(response, x.edits)
    const { id, received, client, startedAt, trace, waitUntil } = arrival
    const { status } = answer
    const { method, url, headers } = received
    const endedAt = platform.now()
    const route = x?.route
    const path = x?.path ?? rawPath(url)
    const ms = Math.max(0, endedAt - startedAt)
    log?.({
      time: startedAt,
      route,
      method,
      path,
      status,
      ms,
      code,
      id,
      client: client.ip,
      target: x?.target,
      attempts: x?.attempts,
      inFlight,
    })
    if (trace?.sampled) {
      const userAgent = headers.all['user-agent']
      const { scheme, host, ip: clientIp } = client
      tracing?.finish(
        trace,
        { route, method, path, scheme, host, clientIp, userAgent, status, code, endedAt },
        waitUntil,
      )
    }
    return answer
  }
}
