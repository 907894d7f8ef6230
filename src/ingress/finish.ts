import type { HeaderEdit } from '../core/exchange.ts'
import type { Platform } from '../core/platform.ts'
import { problemCode } from '../core/problem.ts'
import { rawPath } from '../lib/canonical-path.ts'
import { discardBytes } from '../lib/body.ts'
import { applyHeaderChange } from '../lib/header.ts'
import { makeAccessLog } from '../telemetry/access-log.ts'
import type { Tracing } from '../telemetry/tracing.ts'
import type { AdmittedExchange, IncomingRequest } from './admitted-exchange.ts'

/** Ends a request: applies the header edits, writes the log line, ends the SERVER span. `inFlight` counts the isolate's requests, this one included. */
export type FinishRequest = (
  incoming: IncomingRequest,
  response: Response,
  inFlight: number,
  x?: AdmittedExchange,
) => Response

/** Makes the last step of every response, refusals included; `x` is absent where no route was found. */
export function makeFinish(platform: Platform, tracing: Tracing | undefined): FinishRequest {
  const log = makeAccessLog(platform.variable)
  return (incoming, inner, inFlight, x) => {
    const code = problemCode(inner)
    if (code !== undefined) inner.headers.set('x-request-id', incoming.id)
    const response = x === undefined ? inner : applyHeaderEdits(inner, x.edits)
    const { id, received, client, startedAt, trace, waitUntil } = incoming
    const { status } = response
    const { method, url, headers } = received
    const endedAt = platform.now()
    const route = x?.route
    const path = x?.path ?? rawPath(url)
    const ms = Math.max(0, endedAt - startedAt)
    const target = x?.target
    const attempts = x?.attempts
    log?.({ time: startedAt, route, method, path, status, ms, code, id, client: client.ip, target, attempts, inFlight })
    if (trace?.sampled) {
      const userAgent = headers.all['user-agent']
      const { scheme, host, ip: clientIp } = client
      const summary = { route, method, path, scheme, host, clientIp, userAgent, status, code, endedAt }
      tracing?.finish(trace, summary, waitUntil)
    }
    return response
  }
}

/** The response with `edits` applied, the latest first, in one copy; the same object when there are none. */
export function applyHeaderEdits(response: Response, edits: readonly HeaderEdit[]): Response {
  if (edits.length === 0) return response
  const edited = withMutableHeaders(response)
  const { headers } = edited
  for (let i = edits.length - 1; i >= 0; i--) applyHeaderChange(headers, edits[i]!)
  return edited
}

/** A response of fetch has immutable headers; a 101 must keep its socket. */
function withMutableHeaders(response: Response): Response {
  const { webSocket } = response
  return webSocket
    ? new Response(null, { status: 101, headers: response.headers, webSocket })
    : new Response(response.body, response)
}

/** The runtime reads this much of an unread body by itself before it closes the connection. */
const RUNTIME_DRAIN_BYTES = 64 * 1024
const MAX_DRAIN_BYTES = 32 * 1024 * 1024
const MAX_DRAIN_MS = 5_000

/**
 * Lets the client read a response that was made before its upload was read. Many clients read only when all is sent, and to a client that still sends,
 * a closed connection is a failure without a response. So the rest of the upload is read and discarded, up to 32 MiB or 5 s, while the response is
 * sent (nginx: `lingering_close`). A client that sent `Expect` waits for the response itself. Returns the same response where nothing is left to read.
 */
export function drainUpload(
  { received, waitUntil }: IncomingRequest,
  response: Response,
): Response | Promise<Response> {
  const { request, headers } = received
  const { all } = headers
  const length = all['content-length']
  const isLarge = length === undefined ? all['transfer-encoding'] !== undefined : Number(length) > RUNTIME_DRAIN_BYTES
  if (!isLarge || all['expect'] !== undefined || response.status === 101) return response
  const { body } = request
  if (body === null || body.locked) return response
  const drained = discardBytes(body, MAX_DRAIN_BYTES, MAX_DRAIN_MS)
  waitUntil(drained)
  return withLateEnd(response, drained, waitUntil)
}

/** Sends the whole response at once and ends it only when `drained` resolves, because the runtime closes the connection at its end. */
async function withLateEnd(
  response: Response,
  drained: Promise<void>,
  waitUntil: IncomingRequest['waitUntil'],
): Promise<Response> {
  const bytes = new Uint8Array(await response.arrayBuffer())
  if (bytes.byteLength === 0) {
    await drained
    return new Response(null, response)
  }
  const { readable, writable } = new FixedLengthStream(bytes.byteLength)
  const send = async () => {
    const writer = writable.getWriter()
    await writer.write(bytes)
    await drained
    await writer.close()
  }
  // The client may disconnect at any time; then nobody is left to read the response.
  waitUntil(send().catch(() => {}))
  return new Response(readable, response)
}
