import type { Client } from '../core/exchange.ts'
import { canonicalIp, makeCidrMatcher } from '../lib/ip.ts'
import type { ReceivedRequest } from './headers.ts'

/** `clientAddress` as checked; `trustedProxies` are networks or single addresses, and there are none but with `x-forwarded-for`. */
export interface ClientAddressConfig {
  readonly source: 'runtime' | 'cf-connecting-ip' | 'x-forwarded-for'
  readonly trustedProxies: readonly string[]
}

/** Reads the sender of a request. Compiled once, from `clientAddress`. */
export type ClientReader = (received: ReceivedRequest) => Client

/**
 * `runtime` takes the peer of the connection: workerd's `cf.clientIp`, which a client cannot set, or on Cloudflare `CF-Connecting-IP`.
 * `x-forwarded-for` reads that field from the right while the addresses are trusted proxies, and only when the peer is one.
 * A hop that is no address makes the client's address unknown. It never falls back to the proxy's address, which `ip` lists may allow.
 */
export function compileClientReader(config: ClientAddressConfig): ClientReader {
  const isTrusted = makeCidrMatcher(config.trustedProxies)
  return ({ request, url, headers: { all: headers } }) => {
    const { cf } = request
    const stated = config.source === 'cf-connecting-ip' ? headers['cf-connecting-ip'] : peerAddress(cf, headers)
    const peer = canonicalIp(stated ?? '') ?? ''
    const behindProxy = config.source === 'x-forwarded-for' && isTrusted(peer)
    const chain = behindProxy ? forwardedChain(headers['x-forwarded-for'], peer, isTrusted) : [peer]
    const scheme = (behindProxy && headers['x-forwarded-proto']?.toLowerCase()) || url.slice(0, url.indexOf(':'))
    return {
      ip: chain[0]!,
      forwardedFor: chain.length === 1 ? peer : chain.map((ip) => ip || 'unknown').join(', '),
      scheme: scheme === 'https' ? 'https' : 'http',
      host: headers['host'] ?? '',
      // The platform states the country of the connection: behind a proxy that is not the client's.
      country: chain.length === 1 ? ((cf?.country as string | undefined) ?? undefined) : undefined,
    }
  }
}

function peerAddress(cf: Request['cf'], headers: Readonly<Record<string, string>>): string | undefined {
  const withPort = cf?.clientIp as string | undefined
  // Only Cloudflare overwrites that field. workerd on a Unix socket has no address, and there the client could have sent the field.
  if (withPort === undefined) return cf?.colo === undefined ? undefined : headers['cf-connecting-ip']
  // A zone (RFC 4007 §11) names an interface of this machine; with it an address would match no list.
  return withoutPort(withPort.includes('%') ? withPort.replace(/%[^\]]*/, '') : withPort)
}

/** `[::1]:8080`, `127.0.0.1:8080`, or a bare address. */
function withoutPort(text: string): string {
  if (text.startsWith('[')) return /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? text
  const end = text.lastIndexOf(':')
  return text.indexOf(':') === end && end !== -1 ? text.slice(0, end) : text
}

/** The client, then the trusted proxies in the order of the request's way. A hop that is no address ends the chain, as `''`. */
function forwardedChain(header: string | undefined, peer: string, isTrusted: (ip: string) => boolean): string[] {
  const hops = (header ?? '').split(',').flatMap((hop) => hop.trim() || [])
  const chain = [peer]
  while (isTrusted(chain[0]!)) {
    const hop = hops.pop()
    if (hop === undefined) break
    chain.unshift(canonicalIp(withoutPort(hop)) ?? '')
  }
  return chain
}
