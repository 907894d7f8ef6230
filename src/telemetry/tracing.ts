import type { Exchange, Span, Trace } from '../core/exchange.ts'
import type { Middleware } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import { problemCode } from '../core/problem.ts'
import { isLogged } from './access-log.ts'
import { beginTrace, compileRatio, type ActiveTrace } from './active-trace.ts'
import { makeExportQueue, type ExportCounters } from './export-queue.ts'
import { makeOtlpSender } from './otlp.ts'
import { describeServerSpan, endSpan, type RequestSummary } from './span.ts'

/** The tracing of one isolate. */
export interface Tracing {
  /** Continues the trace in `headers` (lower-case names), or starts one where there is none or an invalid one. */
  readonly begin: (headers: Readonly<Record<string, string>>, startedAt: number) => ActiveTrace
  /** Ends the SERVER span and the spans below it that still run, and queues them. A second call does nothing. */
  readonly finish: (trace: ActiveTrace, summary: RequestSummary, waitUntil: Exchange['waitUntil']) => void
  readonly counters: () => ExportCounters
}

/** Makes the tracing of an isolate; undefined unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set. */
export function makeTracing(platform: Pick<Platform, 'variable' | 'now' | 'fetch'>): Tracing | undefined {
  const endpoint = platform.variable('OTEL_EXPORTER_OTLP_ENDPOINT')
  if (endpoint === undefined) return undefined
  const isSampled = compileRatio(platform.variable('OTEL_TRACES_SAMPLER_ARG'))
  const queue = makeExportQueue(makeOtlpSender(endpoint, platform), platform.now, makeFailureLog(platform))
  return {
    begin: (headers, startedAt) => beginTrace(headers, startedAt, isSampled, platform.now),
    finish(trace, summary, waitUntil) {
      const server = trace.spans?.[0]
      if (trace.spans === undefined || server?.endMs !== undefined) return
      describeServerSpan(trace.spans[0], summary)
      for (const span of trace.spans) endSpan(span, summary.endedAt)
      queue.push(trace.spans, waitUntil)
    },
    counters: queue.counters,
  }
}

/**
 * A layer with a span around its own work: from its call until it calls `next`, responds or throws. So the spans of
 * policies are siblings under the SERVER span. Only for the handler of a route that runs sampled requests.
 */
export function withSpan(name: string, layer: Middleware): Middleware {
  return (next) => {
    const running = new WeakMap<Trace, Span>()
    const handler = layer((x) => {
      running.get(x.trace!)?.end()
      return next(x)
    })
    return async (x) => {
      const { trace } = x
      // A background exchange, which refreshes a stale response, is not part of the trace.
      if (trace === undefined) return handler(x)
      const span = trace.start(name, 'internal')
      running.set(trace, span)
      try {
        const response = await handler(x)
        const code = problemCode(response)
        if (code !== undefined) span.set('umbral.problem', code)
        return response
      } catch (error) {
        span.fail(error instanceof Error ? error.name : 'unknown')
        throw error
      } finally {
        span.end()
      }
    }
  }
}

const FAILURE_LOG_INTERVAL_MS = 60_000

/** Logs failed exports at most once a minute, with the counters so far. */
function makeFailureLog({ variable, now }: Pick<Platform, 'variable' | 'now'>) {
  const enabled = isLogged('warn', variable('LOG_LEVEL'))
  let last = -Infinity
  return (error: unknown, counters: ExportCounters): void => {
    // The distance, because a clock that was set back must not silence the log until it has caught up.
    if (!enabled || Math.abs(now() - last) < FAILURE_LOG_INTERVAL_MS) return
    last = now()
    const reason = error instanceof Error ? error.message : 'unknown'
    console.warn(
      JSON.stringify({ time: new Date(last).toISOString(), level: 'warn', event: 'trace-export', reason, ...counters }),
    )
  }
}
