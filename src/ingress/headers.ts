import type { Client, Outgoing } from '../core/exchange.ts'
import type { ProblemCode } from '../core/problem.ts'
import { canonicalHeaderName, isHeaderName, isOpaque } from '../lib/header.ts'

const MAX_HEADERS = 100
const MAX_HEADER_BYTES = 32 * 1024

/** Hop-by-hop fields (RFC 9110 §7.6.1), and fields in which only the gateway may state where a request came from. */
const NEVER_FORWARDED = [
  'connection keep-alive te trailer transfer-encoding upgrade http2-settings',
  // CGI programs read it as their own proxy setting (httpoxy, CVE-2016-5385).
  'proxy',
  'forwarded x-real-ip true-client-ip x-client-ip client-ip cf-connecting-ip cf-connecting-ipv6 cf-pseudo-ipv4 cf-ipcountry cf-visitor cf-ray cf-worker',
  // Set by a proxy that terminates TLS (RFC 9440 §2.4): an origin trusts them.
  'client-cert client-cert-chain',
  // Set by the gateway for an origin.
  'x-attempt x-request-timeout-ms',
  // Some frameworks route on these: the origin would run another request than the gateway has matched.
  'x-original-url x-rewrite-url x-http-method x-http-method-override x-method-override',
].flatMap((names) => names.split(' '))

/** Some servers take other spellings of these for message framing: request smuggling (RFC 9112 §11.2). */
const FRAMING = new Set(['transfer-encoding', 'content-length', 'connection', 'host'])

// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/

/** A longer Content-Length is not exact as a number; RFC 9110 §8.6 requires only that large values are anticipated. */
const MAX_LENGTH_DIGITS = 15

/** The client's headers as an upstream may receive them. */
export type ForwardedHeaders = Pick<Outgoing, 'headers' | 'hasOpaqueValues'>

/** A request's headers by lower-case name, as plain text: reading one needs no call into the runtime. */
export interface ReceivedHeaders {
  /** All of them, as received. */
  readonly all: Readonly<Record<string, string>>
  /** Those that may be forwarded. */
  readonly forwarded: ForwardedHeaders
  /** The refusal that the headers require; undefined when they are valid. */
  readonly fault: ProblemCode | undefined
}

/** Reads all headers of a request in one pass. */
export type HeaderReader = (request: Request) => ReceivedHeaders

/**
 * Compiles how the headers of each request are read. Hop-by-hop fields and those that `Connection` names are not forwarded; the client's copies of
 * `injected` fields and of `X-Forwarded-*` are dropped in every spelling. At most 100 fields and 32 KiB.
 */
export function compileHeaderReader(injected: Iterable<string>): HeaderReader {
  const ruleOf = makeRuleTable(new Set([...NEVER_FORWARDED, ...[...injected].map(canonicalHeaderName)]))
  return (request) => {
    const all = Object.create(null) as Record<string, string>
    const headers: Record<string, string> = {}
    let hasOpaqueValues = false
    let count = 0
    let length = 0
    let isValid = true
    // One pass for every check: each access to a header is a call into the runtime.
    request.headers.forEach((value, received) => {
      const rule = ruleOf(received)
      const { name, isDropped } = rule
      count++
      length += name.length + value.length
      const line = rule.isCookie ? joinCookies(value) : value
      const joined = name in all ? `${all[name]}, ${line}` : line
      all[name] = joined
      // Clients repeat their values: comparing two texts is cheaper than testing one for characters.
      if (value !== rule.validValue) {
        if (CONTROL.test(value)) isValid = false
        else if (isOpaque(value)) hasOpaqueValues ||= !isDropped
        else if (value.length <= MAX_CACHED_LENGTH.value) rule.validValue = value
      }
      if (rule.isFramingAlias) isValid = false
      if (isDropped) return
      if (name === 'content-length' && value.length > MAX_LENGTH_DIGITS) isValid = false
      // The runtime joins lines of one name, except Set-Cookie; they are forwarded as one line (RFC 9110 §5.3).
      headers[name] = joined
    })
    // Another transfer coding would be lost on the way while the body is still encoded with it (RFC 9112 §6.1).
    if ((all['transfer-encoding'] ?? 'chunked').toLowerCase() !== 'chunked') isValid = false
    forwardConnection(request.method, all, headers)
    const isLarge = count > MAX_HEADERS || isTooLong(all, length)
    return {
      all,
      forwarded: { headers, hasOpaqueValues },
      fault: isValid ? (isLarge ? 'headers-too-large' : undefined) : 'header-invalid',
    }
  }
}

/**
 * The runtime joins the lines of one name with `, `, but Cookie is joined with `; ` (RFC 9113 §8.2.3). A cookie holds no comma (RFC 6265 §4.1.1): a
 * comma counts as a separator where another pair begins after it, so that values of clients which send commas all the same stay whole.
 */
const joinCookies = (value: string): string =>
  value.includes(', ') ? value.replaceAll(/, (?=[!#$%&'*+\-.^_`|~\w]+=)/g, '; ') : value

/** Drops the fields that `Connection` names, and forwards an upgrade to WebSocket. */
function forwardConnection(method: string, all: ReceivedHeaders['all'], headers: ForwardedHeaders['headers']): void {
  const { connection, upgrade } = all
  if (connection !== undefined) dropNamed(headers, connection)
  // Every other upgrade is ignored, as RFC 9110 §7.8 allows.
  if (upgrade !== undefined && method === 'GET' && upgrade.toLowerCase() === 'websocket')
    headers['upgrade'] = 'websocket'
}

function dropNamed(headers: ForwardedHeaders['headers'], connection: string): void {
  for (const part of connection.split(',')) {
    const name = part.trim().toLowerCase()
    // A client must not be able to remove the fields by which the gateway identifies it.
    if (isHeaderName(name) && !/^(?:host|authorization|cookie|content-.*)$/.test(name)) delete headers[name]
  }
}

/** `length` is in characters, each of which has at most three bytes: the bytes are rarely counted. */
function isTooLong(headers: ReceivedHeaders['all'], length: number): boolean {
  if (length * 3 <= MAX_HEADER_BYTES) return false
  return exceedsBytes(Object.entries(headers).flat().join(''), MAX_HEADER_BYTES)
}

/** The decisions that depend on a header's name alone, and the last of its values that was valid. */
interface HeaderRule {
  readonly name: string
  readonly isDropped: boolean
  /** Whether it is another spelling of a field of message framing. */
  readonly isFramingAlias: boolean
  readonly isCookie: boolean
  /** The last value that held neither control nor opaque characters. */
  validValue: string | undefined
}

/** Clients use few names, so rules are cached. All are dropped when a client sends many names. Longer names and values are not cached. */
const MAX_CACHED_RULES = 1_000
const MAX_CACHED_LENGTH = { name: 64, value: 1_024 } as const

function makeRuleTable(dropped: ReadonlySet<string>): (name: string) => HeaderRule {
  const rules = new Map<string, HeaderRule>()
  const makeRule = (name: string): HeaderRule => {
    const canonical = canonicalHeaderName(name)
    const rule: HeaderRule = {
      name: internalized(name),
      isDropped: dropped.has(canonical) || /^(?:x-forwarded|proxy-)/.test(canonical),
      isFramingAlias: canonical !== name && FRAMING.has(canonical),
      isCookie: name === 'cookie',
      validValue: undefined,
    }
    if (name.length > MAX_CACHED_LENGTH.name) return rule
    if (rules.size >= MAX_CACHED_RULES) rules.clear()
    rules.set(name, rule)
    return rule
  }
  return (name) => rules.get(name) ?? makeRule(name)
}

/** The same text as V8 stores property names. Another string is looked up in V8's string table at each use as a property name. */
const internalized = (text: string): string => Object.keys({ [text]: 0 })[0]!

/** Sets `X-Forwarded-For`, `-Proto` and `-Host` from `client`, and `-Port` and `-Prefix` where a trusted proxy states them. */
export function setForwardedHeaders({ headers }: ForwardedHeaders, client: Client): void {
  headers['x-forwarded-for'] = client.forwardedFor
  headers['x-forwarded-proto'] = client.scheme
  headers['x-forwarded-host'] = client.host
  if (client.port !== undefined) headers['x-forwarded-port'] = client.port
  if (client.prefix !== undefined) headers['x-forwarded-prefix'] = client.prefix
}

/** A request as received, read once: each access to the runtime's own object is a call into the runtime. */
export interface ReceivedRequest {
  readonly request: Request
  readonly method: string
  readonly url: string
  readonly headers: ReceivedHeaders
}

/** Reads the properties that every request needs. */
export function readRequest(request: Request, readHeaders: HeaderReader): ReceivedRequest {
  return { request, method: request.method, url: request.url, headers: readHeaders(request) }
}

const encoder = new TextEncoder()

/** Whether `text` has more than `max` bytes in UTF-8. Most texts are so short that their length decides it. */
export const exceedsBytes = (text: string, max: number): boolean =>
  text.length > max || (text.length * 3 > max && encoder.encode(text).length > max)
