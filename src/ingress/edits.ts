import type { HeaderEdit } from '../core/exchange.ts'
import { applyHeaderChange } from '../lib/header.ts'

/** The answer with `edits` applied, the latest first, in one copy at most; the same object when there are none. */
export function applyHeaderEdits(response: Response, edits: readonly HeaderEdit[]): Response {
  if (edits.length === 0) return response
  const edited = withOwnHeaders(response)
  const { headers } = edited
  for (let i = edits.length - 1; i >= 0; i--) applyHeaderChange(headers, edits[i]!)
  return edited
}

/** What fetch returns has immutable headers, and a 101 carries its socket. */
function withOwnHeaders(response: Response): Response {
  const { webSocket } = response
  return webSocket
    ? new Response(null, { status: 101, headers: response.headers, webSocket })
    : new Response(response.body, response)
}
