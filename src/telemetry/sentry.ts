import { Toucan } from 'toucan-js'
import type { Platform } from '../core/platform.ts'
import type { ErrorReport } from './errors.ts'
import { makeSpanId } from './trace-context.ts'

const TIMEOUT_MS = 2_000

/** Sends one event; resolves when Sentry has answered. Nothing but the fault goes in, so nothing else can come out. */
export async function sendToSentry(dsn: string, fault: ErrorReport, fetch: Platform['fetch']): Promise<void> {
  const sending: Promise<unknown>[] = []
  const toucan = new Toucan({
    dsn,
    context: { waitUntil: (work) => void sending.push(work) },
    // They would collect the request with its headers, and the errors behind the error.
    defaultIntegrations: false,
    transportOptions: {
      fetcher: (url, init) => fetch(url as string, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) }),
    },
  })
  toucan.setPropagationContext({ traceId: fault.id, spanId: makeSpanId() })
  toucan.setLevel('error')
  toucan.setTags({ route: fault.route, method: fault.method })
  toucan.setExtras({ path: fault.path })
  toucan.captureException(asError(fault))
  await Promise.all(sending)
}

function asError({ name, message, stack }: ErrorReport): Error {
  const error = new Error(message)
  return Object.assign(error, { name, stack: stack ?? `${name}: ${message}` })
}
