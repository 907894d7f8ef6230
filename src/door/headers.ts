import type { Client } from '../exchange.ts'
import type { ProblemCode } from '../problem.ts'

const MAX_HEADERS = 100
const MAX_HEADER_BYTES = 32 * 1024

/** Hop-by-hop (RFC 9110 §7.6.1), and what only the gateway may say about where a request came from. */
const NEVER_FORWARDED = [
  'connection keep-alive proxy-connection proxy-authorization proxy-authenticate te trailer transfer-encoding upgrade http2-settings',
  'forwarded x-real-ip true-client-ip x-client-ip cf-connecting-ip cf-connecting-ipv6 cf-pseudo-ipv4 cf-ipcountry cf-visitor cf-ray cf-worker',
].flatMap((names) => names.split(' '))

/** Servers that read `_` as `-` would take these for message framing: request smuggling (RFC 9112 §11.2). */
const FRAMING = new Set(['transfer-encoding', 'content-length', 'connection', 'host'])

// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/

/** The client's headers as an upstream may see them, or why the request is refused. */
export type HeaderFilter = (request: Request, client: Client) => Headers | ProblemCode

/**
 * Compiles the filter for every request: hop-by-hop headers and what `Connection` names go no further, the client's copies of `injected` headers are
 * dropped in every spelling, and `X-Forwarded-*` says what the gateway knows. At most 100 headers and 32 KiB.
 */
export function makeHeaderFilter(injected: Iterable<string>): HeaderFilter {
  const dropped = new Set([...NEVER_FORWARDED, ...[...injected].map(canonicalName)])
  return (request, client) => {
    const headers = new Headers(request.headers)
    let count = 0
    let bytes = 0
    let fault: ProblemCode | undefined
    request.headers.forEach((value, name) => {
      count++
      bytes += name.length + value.length
      const canonical = name.includes('_') ? canonicalName(name) : name
      if (CONTROL.test(value) || (canonical !== name && FRAMING.has(canonical))) fault = 'header-invalid'
      if (dropped.has(canonical) || canonical.startsWith('x-forwarded-')) headers.delete(name)
    })
    if (fault !== undefined) return fault
    if (count > MAX_HEADERS || bytes > MAX_HEADER_BYTES) return 'headers-too-large'
    const named = request.headers.get('connection')
    if (named !== null) dropNamed(headers, named)
    if (isWebSocketUpgrade(request)) headers.set('upgrade', 'websocket')
    headers.set('x-forwarded-for', client.forwardedFor)
    headers.set('x-forwarded-proto', client.scheme)
    headers.set('x-forwarded-host', client.host)
    return headers
  }
}

/** What a server that maps header names to variables (CGI, WSGI) cannot tell apart. */
const canonicalName = (name: string): string => name.toLowerCase().replaceAll('_', '-')

function dropNamed(headers: Headers, connection: string): void {
  for (const part of connection.split(',')) {
    const name = part.trim()
    // What the gateway relies on to know the caller cannot be talked away by the caller.
    if (/^[\w!#$%&'*+\-.^`|~]+$/.test(name) && !/^(?:host|authorization|cookie|content-.*)$/i.test(name))
      headers.delete(name)
  }
}

/** A GET that asks for a WebSocket; every other upgrade is ignored, as RFC 9110 §7.8 lets a server do. */
export function isWebSocketUpgrade(request: Request): boolean {
  return request.method === 'GET' && request.headers.get('upgrade')?.toLowerCase() === 'websocket'
}
