import ipaddr from 'ipaddr.js'

/** An address in groups of 16 bits: two for IPv4, eight for IPv6. An IPv4-mapped IPv6 address is its IPv4 address. */
export type Ip = readonly number[]

/** A network: an address in it, and the length of its prefix in bits. */
export interface Cidr {
  readonly network: Ip
  readonly bits: number
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/
const IPV6 = /^(?:[0-9a-f]{0,4}:){2,8}[0-9a-f]{0,4}$/i
const MAPPED = '0,0,0,0,0,65535'
const BITS = /^(?:0|[1-9]\d{0,2})$/

/** Four decimal numbers, or IPv6 without a zone; undefined for everything else, octal and hexadecimal IPv4 included. */
export function parseIp(text: string): Ip | undefined {
  if (!text.includes(':')) return parseIpv4(text)
  const hex = text.includes('.') ? undotted(text) : text
  if (hex === undefined || !IPV6.test(hex)) return undefined
  try {
    const { parts } = ipaddr.IPv6.parse(hex)
    return parts.slice(0, 6).join() === MAPPED ? parts.slice(6) : parts
  } catch {
    return undefined
  }
}

/** The canonical text of an address (IPv6 by RFC 5952), by which two addresses compare as text; undefined for text that is no address. */
export function canonicalIp(text: string): string | undefined {
  if (IPV4.test(text)) return text
  const ip = parseIp(text)
  return ip && ipText(ip)
}

/** IPv4 as four decimal numbers, IPv6 by RFC 5952. */
function ipText(ip: Ip): string {
  if (ip.length !== 2) return new ipaddr.IPv6([...ip]).toString()
  return ip.flatMap((group) => [group >> 8, group & 255]).join('.')
}

/** The network that counts as one client: an IPv4 address as it is, and the first 64 bits of an IPv6 address, as `2001:db8:0:1`. `ip` is canonical, or `''`. */
export function networkOf(ip: string): string {
  if (!ip.includes(':')) return ip
  const groups = parseIp(ip) ?? []
  return groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address; undefined for everything else. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/')
  const address = slash === -1 ? text : text.slice(0, slash)
  const network = parseIp(address)
  if (network === undefined) return undefined
  const length = network.length * 16
  if (slash === -1) return { network, bits: length }
  const suffix = text.slice(slash + 1)
  if (!BITS.test(suffix)) return undefined
  // The bits of a mapped address count from the IPv6 side: ::ffff:10.0.0.0/104 is 10.0.0.0/8.
  const bits = Number(suffix) - (length === 32 && address.includes(':') ? 96 : 0)
  return bits >= 0 && bits <= length ? { network, bits } : undefined
}

/** The network without its host bits, as text: `10.0.0.0/8` for `10.1.2.3/8`. Undefined where it has none. */
export function withoutHostBits({ network, bits }: Cidr): string | undefined {
  const base = network.map((group, i) => {
    const ignored = Math.min(16, Math.max(0, (i + 1) * 16 - bits))
    return (group >> ignored) << ignored
  })
  return base.every((group, i) => group === network[i]) ? undefined : `${ipText(base)}/${bits}`
}

/** Whether an address is in one of the networks; IPv4 is never in an IPv6 network, not even in `::/0`. */
export function isInAny(ip: Ip, networks: readonly Cidr[]): boolean {
  return networks.some(({ network, bits }) => network.length === ip.length && sharesBits(ip, network, bits))
}

/** Compiles whether an address is in one of `networks`. Text that is no address is in none; a network that does not parse is left out. */
export function makeCidrMatcher(networks: readonly string[]): (ip: string) => boolean {
  const parsed = networks.map(parseCidr).filter((cidr) => cidr !== undefined)
  return (text) => {
    const ip = parseIp(text)
    return ip !== undefined && isInAny(ip, parsed)
  }
}

function sharesBits(a: Ip, b: Ip, bits: number): boolean {
  for (let i = 0; i * 16 < bits; i++) {
    const ignored = Math.max(0, (i + 1) * 16 - bits)
    if ((a[i]! ^ b[i]!) >> ignored !== 0) return false
  }
  return true
}

function parseIpv4(text: string): Ip | undefined {
  if (!IPV4.test(text)) return undefined
  const [a, b, c, d] = text.split('.').map(Number) as [number, number, number, number]
  return [(a << 8) | b, (c << 8) | d]
}

/** `::ffff:192.0.2.1` → `::ffff:c000:201`; ipaddr.js would read `::192.0.2.1` as mapped, and octal numbers. */
function undotted(text: string): string | undefined {
  const end = text.lastIndexOf(':') + 1
  const groups = parseIpv4(text.slice(end))?.map((group) => group.toString(16))
  return groups && text.slice(0, end) + groups.join(':')
}
