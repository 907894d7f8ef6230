import type { Client } from '../exchange.ts'
import { makeCidrMatcher, parseIp } from '../lib/ip.ts'

export interface ClientAddressConfig {
  readonly source: 'runtime' | 'cf-connecting-ip' | 'x-forwarded-for'
  readonly trustedProxies: readonly string[]
}

/** How to tell who is calling; compiled once from `clientAddress`. */
export type ClientReader = (request: Request) => Client

/**
 * `runtime` believes the connection: workerd's `cf.clientIp`, which a client cannot set, or Cloudflare's own `CF-Connecting-IP` where there is none.
 * `x-forwarded-for` walks that header from the right while the addresses are trusted proxies; it is read only when the connection itself is one.
 */
export function makeClientReader(config: ClientAddressConfig): ClientReader {
  const isTrusted = makeCidrMatcher(config.trustedProxies)
  return (request) => {
    const { headers } = request
    const peer = config.source === 'cf-connecting-ip' ? (headers.get('cf-connecting-ip') ?? '') : peerAddress(request)
    const behindProxy = config.source === 'x-forwarded-for' && isTrusted(peer)
    const chain = behindProxy ? forwardedChain(headers.get('x-forwarded-for'), peer, isTrusted) : [peer]
    const scheme = (behindProxy && headers.get('x-forwarded-proto')) || request.url.slice(0, request.url.indexOf(':'))
    return {
      ip: chain[0]!,
      forwardedFor: chain.join(', '),
      scheme: scheme === 'https' ? 'https' : 'http',
      host: headers.get('host') ?? '',
      country: (request.cf?.country as string | undefined) ?? undefined,
    }
  }
}

function peerAddress(request: Request): string {
  // A zone (RFC 4007 §11) names an interface of this machine, and would keep an address out of every list.
  const withPort = (request.cf?.clientIp as string | undefined)?.replace(/%[^\]]*/, '')
  if (withPort === undefined) return request.headers.get('cf-connecting-ip') ?? ''
  const end = withPort.lastIndexOf(':')
  // `[::1]:8080`, `127.0.0.1:8080`, or a bare address.
  if (withPort.startsWith('[')) return withPort.slice(1, withPort.indexOf(']'))
  return withPort.indexOf(':') === end && end !== -1 ? withPort.slice(0, end) : withPort
}

/** The client, then the trusted proxies in the order they were passed; a hop that is no address ends the walk. */
function forwardedChain(header: string | null, peer: string, isTrusted: (ip: string) => boolean): string[] {
  const hops = (header ?? '').split(',').map((hop) => hop.trim())
  const chain = [peer]
  while (isTrusted(chain[0]!)) {
    const hop = hops.pop()
    if (hop === undefined || parseIp(hop) === undefined) break
    chain.unshift(hop)
  }
  return chain
}
