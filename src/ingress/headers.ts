import type { Client, Outgoing } from '../core/exchange.ts'
import { canonicalName, isHeaderName, isOpaque } from '../lib/header.ts'
import type { ProblemCode } from '../core/problem.ts'

const MAX_HEADERS = 100
const MAX_HEADER_BYTES = 32 * 1024

/** Hop-by-hop (RFC 9110 §7.6.1), and what only the gateway may say about where a request came from. */
const NEVER_FORWARDED = [
  'connection keep-alive te trailer transfer-encoding upgrade http2-settings',
  // CGI programs would take it for their own setting of a proxy (httpoxy).
  'proxy',
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

/** Beyond this a length is no exact number (RFC 9110 §8.6 asks for no more than to be ready for large ones). */
const MAX_LENGTH_DIGITS = 15

/** The client's headers as an upstream may see them. */
export type ForwardedHeaders = Pick<Outgoing, 'headers' | 'hasOpaqueValues'>

/** A request's headers, by lower-case name: plain text, which costs no call into the runtime to look at. */
export interface ReceivedHeaders {
  /** All of them, as they came. */
  readonly all: Readonly<Record<string, string>>
  /** Those that may go on. */
  readonly forwarded: ForwardedHeaders
  /** Why the request is to be refused. */
  readonly fault: ProblemCode | undefined
}

/** Reads a request's headers, all in one walk. */
export type HeaderReader = (request: Request) => ReceivedHeaders

/**
 * Compiles how each request's headers are read: hop-by-hop headers and what `Connection` names go no further, and the client's copies of `injected`
 * headers and of `X-Forwarded-*` are dropped in every spelling. At most 100 headers and 32 KiB.
 */
export function compileHeaderReader(injected: Iterable<string>): HeaderReader {
  const judge = makeJudge(new Set([...NEVER_FORWARDED, ...[...injected].map(canonicalName)]))
  return (request) => {
    const all = Object.create(null) as Record<string, string>
    const headers: Record<string, string> = {}
    let hasOpaqueValues = false
    let count = 0
    let length = 0
    let isSound = true
    // One walk for everything: each look at a header crosses into the runtime.
    request.headers.forEach((value, received) => {
      const judgement = judge(received)
      const { name, isDropped } = judgement
      count++
      length += name.length + value.length
      const joined = name in all ? `${all[name]}, ${value}` : value
      all[name] = joined
      // Clients say the same over and over: that two texts are equal is sooner seen than what is in one.
      if (value !== judgement.plain) {
        if (CONTROL.test(value)) isSound = false
        else if (isOpaque(value)) hasOpaqueValues ||= !isDropped
        else if (value.length <= MAX_REMEMBERED_LENGTH.value) judgement.plain = value
      }
      if (judgement.isLookAlike) isSound = false
      if (isDropped) return
      if (name === 'content-length' && value.length > MAX_LENGTH_DIGITS) isSound = false
      // Lines of one name arrive as one value, but those of Set-Cookie, and are sent on as one (RFC 9110 §5.3).
      headers[name] = joined
    })
    const { connection, upgrade, 'transfer-encoding': coding } = all
    // Another coding would be lost on the way, with the body still in it (RFC 9112 §6.1).
    if (coding !== undefined && coding.toLowerCase() !== 'chunked') isSound = false
    if (connection !== undefined) dropNamed(headers, connection)
    if (upgrade !== undefined && isWebSocketUpgrade(request.method, upgrade)) headers['upgrade'] = 'websocket'
    const isLarge = count > MAX_HEADERS || isTooLong(all, length)
    return {
      all,
      forwarded: { headers, hasOpaqueValues },
      fault: isSound ? (isLarge ? 'headers-too-large' : undefined) : 'header-invalid',
    }
  }
}

/** `length` in characters, of which one takes three bytes at most: hardly ever has anything to be counted again. */
function isTooLong(headers: ReceivedHeaders['all'], length: number): boolean {
  if (length * 3 <= MAX_HEADER_BYTES) return false
  return exceedsBytes(Object.entries(headers).flat().join(''), MAX_HEADER_BYTES)
}

/** What there is to know of a header's name, and what came with it last. */
interface HeaderRule {
  readonly name: string
  readonly isDropped: boolean
  /** Whether it is message framing in another spelling. */
  readonly isLookAlike: boolean
  /** The last value of it that held neither control nor opaque characters. */
  plain: string | undefined
}

/** Clients send the same few names over and over: beyond so many what is remembered is forgotten, and nothing longer is remembered. */
const MAX_REMEMBERED = 1_000
const MAX_REMEMBERED_LENGTH = { name: 64, value: 1_024 } as const

function makeJudge(dropped: ReadonlySet<string>): (name: string) => HeaderRule {
  const remembered = new Map<string, HeaderRule>()
  const judge = (name: string): HeaderRule => {
    const canonical = canonicalName(name)
    const judgement = {
      name: keyOf(name),
      isDropped: dropped.has(canonical) || /^(?:x-forwarded|proxy-)/.test(canonical),
      isLookAlike: canonical !== name && FRAMING.has(canonical),
      plain: undefined,
    }
    if (name.length > MAX_REMEMBERED_LENGTH.name) return judgement
    if (remembered.size >= MAX_REMEMBERED) remembered.clear()
    remembered.set(name, judgement)
    return judgement
  }
  return (name) => remembered.get(name) ?? judge(name)
}

/** The same text as the engine keeps names of properties: a text of any other make is looked up in its table at every use as one. */
const keyOf = (text: string): string => Object.keys({ [text]: 0 })[0]!

/** Says in `X-Forwarded-*` what the gateway knows of the client. */
export function setForwardedHeaders({ headers }: ForwardedHeaders, client: Client): void {
  headers['x-forwarded-for'] = client.forwardedFor
  headers['x-forwarded-proto'] = client.scheme
  headers['x-forwarded-host'] = client.host
}

function dropNamed(headers: ForwardedHeaders['headers'], connection: string): void {
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

const encoder = new TextEncoder()

/** Whether `text` takes more than `max` bytes in UTF-8; most texts are so short that their length alone tells. */
export const exceedsBytes = (text: string, max: number): boolean =>
  text.length > max || (text.length * 3 > max && encoder.encode(text).length > max)
