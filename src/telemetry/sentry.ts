import { Toucan } from 'toucan-js'
import type { Platform } from '../core/platform.ts'
import { makeSpanId } from './trace-context.ts'

/** An unexpected error without its secrets: all that is logged or sent. */
export interface ErrorReport {
  readonly id: string
  readonly route: string | undefined
  readonly method: string
  /** Without its query. */
  readonly path: string
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
}

const TIMEOUT_MS = 2_000

/** Sends one event; resolves when Sentry has responded. The event holds nothing but the report. */
export async function sendToSentry(dsn: string, report: ErrorReport, fetch: Platform['fetch']): Promise<void> {
  const sending: Promise<unknown>[] = []
  const toucan = new Toucan({
    dsn,
    context: { waitUntil: (work) => void sending.push(work) },
    // The default integrations would collect the request with its headers, and the causes of the error.
    defaultIntegrations: false,
    transportOptions: {
      fetcher: (url, init) => fetch(url as string, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) }),
    },
  })
  toucan.setPropagationContext({ traceId: report.id, spanId: makeSpanId() })
  toucan.setLevel('error')
  toucan.setTags({ route: report.route, method: report.method })
  toucan.setExtras({ path: report.path })
  toucan.captureException(asError(report))
  await Promise.all(sending)
}

function asError({ name, message, stack }: ErrorReport): Error {
  const error = new Error(message)
  return Object.assign(error, { name, stack: stack ?? `${name}: ${message}` })
}
