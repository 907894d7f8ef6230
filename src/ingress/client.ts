import type { Client } from '../core/exchange.ts'
import { canonicalIp, makeCidrMatcher } from '../lib/ip.ts'
import type { ReceivedRequest } from './headers.ts'

/** `clientAddress` as checked; `trustedProxies` are networks or single addresses, and there are none but with `x-forwarded-for`. */
export interface ClientAddressConfig {
  readonly source: 'runtime' | 'cf-connecting-ip' | 'x-forwarded-for'
  readonly trustedProxies: readonly string[]
}

/** How to tell who is calling; compiled once from `clientAddress`. */
export type ClientReader = (received: ReceivedRequest) => Client

/**
 * `runtime` believes the connection: workerd's `cf.clientIp`, which a client cannot set, or Cloudflare's own `CF-Connecting-IP` where there is none.
 * `x-forwarded-for` walks that header from the right while the addresses are trusted proxies; it is read only when the connection itself is one.
 * A hop that a proxy names in a way that nobody can read is a client whose address is unknown, and never the proxy itself, which lists may let in.
 */
export function compileClientReader(config: ClientAddressConfig): ClientReader {
  const isTrusted = makeCidrMatcher(config.trustedProxies)
  return ({ request, url, headers: { all: headers } }) => {
    const { cf } = request
    const said = config.source === 'cf-connecting-ip' ? headers['cf-connecting-ip'] : peerAddress(cf, headers)
    const peer = canonicalIp(said ?? '') ?? ''
    const behindProxy = config.source === 'x-forwarded-for' && isTrusted(peer)
    const chain = behindProxy ? forwardedChain(headers['x-forwarded-for'], peer, isTrusted) : [peer]
    const scheme = (behindProxy && headers['x-forwarded-proto']?.toLowerCase()) || url.slice(0, url.indexOf(':'))
    return {
      ip: chain[0]!,
      forwardedFor: chain.length === 1 ? peer : chain.map((ip) => ip || 'unknown').join(', '),
      scheme: scheme === 'https' ? 'https' : 'http',
      host: headers['host'] ?? '',
      // The platform tells it of the connection: a proxy's is not the client's.
      country: chain.length === 1 ? ((cf?.country as string | undefined) ?? undefined) : undefined,
    }
  }
}

function peerAddress(cf: Request['cf'], headers: Readonly<Record<string, string>>): string | undefined {
  const withPort = cf?.clientIp as string | undefined
  // Only Cloudflare writes that header over; workerd on a socket without addresses tells of a process instead.
  if (withPort === undefined) return cf?.colo === undefined ? undefined : headers['cf-connecting-ip']
  // A zone (RFC 4007 §11) names an interface of this machine, and would keep an address out of every list.
  return withoutPort(withPort.includes('%') ? withPort.replace(/%[^\]]*/, '') : withPort)
}

/** `[::1]:8080`, `127.0.0.1:8080`, or a bare address. */
function withoutPort(text: string): string {
  if (text.startsWith('[')) return /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? text
  const end = text.lastIndexOf(':')
  return text.indexOf(':') === end && end !== -1 ? text.slice(0, end) : text
}

/** The client, then the trusted proxies in the order they were passed; a hop that is no address ends the walk, as `''`. */
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
