import type { Client, Outgoing } from '../exchange.ts'
import { canonicalName, isHeaderName } from '../lib/header.ts'
import type { ProblemCode } from '../problem.ts'

const MAX_HEADERS = 100
const MAX_HEADER_BYTES = 32 * 1024

/** Hop-by-hop (RFC 9110 §7.6.1), and what only the gateway may say about where a request came from. */
const NEVER_FORWARDED = [
  'connection keep-alive proxy-connection proxy-authorization proxy-authenticate te trailer transfer-encoding upgrade http2-settings',
  'forwarded x-real-ip true-client-ip x-client-ip client-ip cf-connecting-ip cf-connecting-ipv6 cf-pseudo-ipv4 cf-ipcountry cf-visitor cf-ray cf-worker',
  // What a proxy that ends TLS says of a client's certificate (RFC 9440 §2.4): an origin would believe it.
  'client-cert client-cert-chain',
  // The gateway's own words to an origin.
  'x-attempt x-request-timeout-ms',
  // Some frameworks route on these: a request would be another one than was matched and guarded.
  'x-original-url x-rewrite-url x-http-method x-http-method-override x-method-override',
].flatMap((names) => names.split(' '))

/** Servers that read `_` as `-` would take these for message framing: request smuggling (RFC 9112 §11.2). */
const FRAMING = new Set(['transfer-encoding', 'content-length', 'connection', 'host'])

// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/

/** What the runtime reads in place of bytes that are no UTF-8. */
const REPLACEMENT = '\ufffd'

/** Beyond this a length is no exact number (RFC 9110 §8.6 asks for no more than to be ready for large ones). */
const MAX_LENGTH_DIGITS = 15

/** The client's headers as an upstream may see them. */
export type Forwarded = Pick<Outgoing, 'headers' | 'hasOpaqueValues'>

/** What may go on of a request's headers, or why it is refused. */
export type HeaderFilter = (request: Request, client: Client) => Forwarded | ProblemCode

/**
 * Compiles the filter for every request: hop-by-hop headers and what `Connection` names go no further, the client's copies of `injected` headers are
 * dropped in every spelling, and `X-Forwarded-*` says what the gateway knows. At most 100 headers and 32 KiB.
 */
export function makeHeaderFilter(injected: Iterable<string>): HeaderFilter {
  const dropped = new Set([...NEVER_FORWARDED, ...[...injected].map(canonicalName)])
  return (request, client) => {
    const headers: Record<string, string> = {}
    let hasOpaqueValues = false
    let count = 0
    let bytes = 0
    let fault = false
    let named: string | undefined
    let upgrade = false
    // One walk for everything: each look at a header crosses into the runtime.
    request.headers.forEach((value, name) => {
      count++
      bytes += name.length + value.length
      const canonical = canonicalName(name)
      if (CONTROL.test(value) || (canonical !== name && FRAMING.has(canonical))) fault = true
      if (dropped.has(canonical) || canonical.startsWith('x-forwarded')) {
        if (name === 'connection') named = value
        else if (name === 'upgrade') upgrade = isWebSocketUpgrade(request.method, value)
        return
      }
      if (name === 'content-length' && value.length > MAX_LENGTH_DIGITS) fault = true
      if (value.includes(REPLACEMENT)) hasOpaqueValues = true
      // Lines of one name arrive as one value and are sent on as one: there are as many as were counted (RFC 9110 §5.3).
      headers[name] = value
    })
    if (fault) return 'header-invalid'
    if (count > MAX_HEADERS || bytes > MAX_HEADER_BYTES) return 'headers-too-large'
    if (named !== undefined) dropNamed(headers, named)
    if (upgrade) headers['upgrade'] = 'websocket'
    headers['x-forwarded-for'] = client.forwardedFor
    headers['x-forwarded-proto'] = client.scheme
    headers['x-forwarded-host'] = client.host
    return { headers, hasOpaqueValues }
  }
}

function dropNamed(headers: Forwarded['headers'], connection: string): void {
  for (const part of connection.split(',')) {
    const name = part.trim().toLowerCase()
    // What the gateway relies on to know the caller cannot be talked away by the caller.
    if (isHeaderName(name) && !/^(?:host|authorization|cookie|content-.*)$/.test(name)) delete headers[name]
  }
}

/** A GET that asks for a WebSocket; every other upgrade is ignored, as RFC 9110 §7.8 lets a server do. */
function isWebSocketUpgrade(method: string, upgrade: string): boolean {
  return method === 'GET' && upgrade.toLowerCase() === 'websocket'
}
