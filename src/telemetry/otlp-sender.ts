import type { Platform } from '../core/platform.ts'
import { encodeSpans } from './otlp.ts'
import type { SpanRecord } from './span.ts'

/** No request waits for a collector; this bounds how long one that hangs holds memory and a connection. */
const TIMEOUT_MS = 2_000

/** Posts spans to the collector at `endpoint` (OTLP/HTTP, JSON); rejects unless it takes them within two seconds. */
export function makeOtlpSender(
  endpoint: string,
  platform: Pick<Platform, 'variable' | 'fetch'>,
): (spans: readonly SpanRecord[]) => Promise<void> {
  const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`
  const serviceName = platform.variable('OTEL_SERVICE_NAME') ?? 'umbral'
  const headers = {
    ...parseHeaders(platform.variable('OTEL_EXPORTER_OTLP_HEADERS') ?? ''),
    'content-type': 'application/json',
  }
  return async (spans) => {
    const body = encodeSpans(spans, serviceName)
    const response = await platform.fetch(url, {
      method: 'POST',
      headers,
      body,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    // Read to its end, so that the connection can carry the next batch.
    await response.arrayBuffer()
    if (!response.ok) throw new Error(`the collector answered ${response.status}`)
  }
}

/** `key=value,key=value` with percent-escapes in the values, as the OTLP exporter specification has it; what is no header is left out. */
function parseHeaders(text: string): Record<string, string> {
  const pairs = text.split(',').flatMap((pair): [string, string][] => {
    const [, name, value] = /^\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*=\s*([\x20-\x7e]*?)\s*$/.exec(pair) ?? []
    return name === undefined || value === undefined ? [] : [[name.toLowerCase(), unescaped(value)]]
  })
  return Object.fromEntries(pairs)
}

function unescaped(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
