import type { Exchange } from '../core/exchange.ts'
import type { Middleware } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import { problemCode } from '../core/problem.ts'
import { beginTrace, type ActiveTrace, compileRatio } from './active-trace.ts'
import { makeExportQueue, type ExportCounters } from './export-queue.ts'
import { isLogged } from './log-level.ts'
import { makeOtlpSender } from './otlp.ts'
import { endSpan, describeServerSpan, type RequestSummary } from './span.ts'
import type { Span, Trace } from '../core/trace.ts'

export type { ActiveTrace, RequestSummary }

/** The tracing of one isolate. */
export interface Tracing {
  /** Continues the caller's trace, of which `headers` (by lower-case name) tell, or starts one where the caller sent none or an invalid one. */
  readonly begin: (headers: Readonly<Record<string, string>>, startedAt: number) => ActiveTrace
  /** Ends the SERVER span, and whatever below it still runs, and queues them all. A second call does nothing. */
  readonly finish: (trace: ActiveTrace, facts: RequestSummary, waitUntil: Exchange['waitUntil']) => void
  readonly counters: () => ExportCounters
}

/** Undefined, so that nothing is spent on it, unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set. */
export function makeTracing(platform: Pick<Platform, 'variable' | 'now' | 'fetch'>): Tracing | undefined {
  const endpoint = platform.variable('OTEL_EXPORTER_OTLP_ENDPOINT')
  if (endpoint === undefined) return undefined
  const isSampled = compileRatio(platform.variable('OTEL_TRACES_SAMPLER_ARG'))
  const queue = makeExportQueue(makeOtlpSender(endpoint, platform), platform.now, makeDiagnostic(platform))
  return {
    begin: (headers, startedAt) => beginTrace(headers, startedAt, isSampled, platform.now),
    finish(trace, facts, waitUntil) {
      const server = trace.spans?.[0]
      if (trace.spans === undefined || server?.endMs !== undefined) return
      describeServerSpan(trace.spans[0], facts)
      for (const span of trace.spans) endSpan(span, facts.endedAt)
      queue.push(trace.spans, waitUntil)
    },
    counters: queue.counters,
  }
}

/**
 * A layer with a span around its own work: from its call until it calls `next`, answers or throws. So the spans of
 * policies stand beside each other under the SERVER span. Only for a route's handler that runs sampled requests.
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
      // What a sampled request sends beside itself, to refresh what it was given stale, is no part of its trace.
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

const DIAGNOSTIC_INTERVAL_MS = 60_000

/** A collector that is down is said once a minute, with what it has cost so far. */
function makeDiagnostic({ variable, now }: Pick<Platform, 'variable' | 'now'>) {
  const enabled = isLogged('warn', variable('LOG_LEVEL'))
  let last = -Infinity
  return (error: unknown, counts: ExportCounters): void => {
    // Either way: a clock that was set back must not silence it until the time is reached again.
    if (!enabled || Math.abs(now() - last) < DIAGNOSTIC_INTERVAL_MS) return
    last = now()
    const reason = error instanceof Error ? error.message : 'unknown'
    console.warn(
      JSON.stringify({ time: new Date(last).toISOString(), level: 'warn', event: 'trace-export', reason, ...counts }),
    )
  }
}
