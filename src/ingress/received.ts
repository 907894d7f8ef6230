import type { HeaderReader, ReceivedHeaders } from './headers.ts'

/** A request as it came in, read once: each look at the runtime's own object costs a call into the runtime. */
export interface ReceivedRequest {
  readonly request: Request
  readonly method: string
  readonly url: string
  readonly headers: ReceivedHeaders
}

/** Reads what every request is asked for. */
export function readRequest(request: Request, readHeaders: HeaderReader): ReceivedRequest {
  return { request, method: request.method, url: request.url, headers: readHeaders(request) }
}
