import type { Client } from '../core/exchange.ts'
import { canonicalPath } from '../lib/canonical-path.ts'
import { canonicalIp, makeCidrMatcher } from '../lib/ip.ts'
import type { ReceivedHeaders, ReceivedRequest } from './headers.ts'

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
 * `X-Forwarded-Proto`, `-Host`, `-Port` and `-Prefix` of such a proxy are taken too. Each must be one value: a list is ignored, because it does not
 * state which proxy wrote which member.
 */
export function compileClientReader(config: ClientAddressConfig): ClientReader {
  const isTrusted = makeCidrMatcher(config.trustedProxies)
  return ({ request, url, headers: { all: headers } }) => {
    const { cf } = request
    const address = config.source === 'cf-connecting-ip' ? headers['cf-connecting-ip'] : peerAddress(cf, headers)
    const peer = canonicalIp(address ?? '') ?? ''
    const behindProxy = config.source === 'x-forwarded-for' && isTrusted(peer)
    const chain = behindProxy ? forwardedChain(headers['x-forwarded-for'], peer, isTrusted) : [peer]
    const stated = (behindProxy && headers['x-forwarded-proto']?.toLowerCase()) || url.slice(0, url.indexOf(':'))
    const scheme = stated === 'https' ? 'https' : 'http'
    const port = behindProxy ? matching(PORT, headers['x-forwarded-port']) : undefined
    return {
      ip: chain[0]!,
      forwardedFor: chain.length === 1 ? peer : chain.map((ip) => ip || 'unknown').join(', '),
      scheme,
      host: behindProxy ? forwardedHost(headers, scheme, port) : (headers['host'] ?? ''),
      port,
      prefix: behindProxy ? forwardedPrefix(headers['x-forwarded-prefix']) : undefined,
      // The platform states the country of the connection: behind a proxy that is not the client's.
      country: chain.length === 1 ? ((cf?.country as string | undefined) ?? undefined) : undefined,
    }
  }
}

/** A name or an address, with an optional port (RFC 9110 §7.2); HTTP/1.0 has none at all. */
const HOST = /^(?:(?:[\w-]+(?:\.[\w-]+)*\.?|\[[\da-f:.]+\])(?::\d{1,5})?)?$/i
const PORT = /^[1-9]\d{0,4}$/

/** Whether `text` is a host with an optional port, or empty. */
export const isHost = (text: string): boolean => HOST.test(text)

const matching = (pattern: RegExp, text: string | undefined): string | undefined =>
  text !== undefined && pattern.test(text) ? text : undefined

/** `X-Forwarded-Host`, or else `Host`, with `port` in place of its own port where a port is stated. */
function forwardedHost(headers: ReceivedHeaders['all'], scheme: Client['scheme'], port: string | undefined): string {
  const host = matching(HOST, headers['x-forwarded-host']) || (headers['host'] ?? '')
  if (port === undefined || host === '') return host
  const name = host.replace(/:\d+$/, '')
  return port === DEFAULT_PORT[scheme] ? name : `${name}:${port}`
}

const DEFAULT_PORT = { http: '80', https: '443' } as const

/** A canonical path without a final slash; undefined for everything else, and for `/`. */
function forwardedPrefix(text: string | undefined): string | undefined {
  const prefix = text?.replace(/\/$/, '')
  return prefix !== undefined && prefix !== '' && canonicalPath(prefix) === prefix ? prefix : undefined
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
