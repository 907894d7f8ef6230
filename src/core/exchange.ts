import type { ProblemCode } from './problem.ts'
import type { Trace } from './trace.ts'

/** Who is on the other end of the client's connection, as `clientAddress` says to find out. */
export interface Client {
  /** Canonical IPv4 or IPv6 text; `''` when the runtime does not tell. */
  readonly ip: string
  /** What the gateway vouches for in `X-Forwarded-For`: the client, or `unknown`, then the trusted proxies it came through. */
  readonly forwardedFor: string
  readonly scheme: 'http' | 'https'
  /** The `Host` that the client asked for, with its port. */
  readonly host: string
  /** ISO 3166-1 alpha-2, where the platform tells; it tells nothing of who is behind a proxy. */
  readonly country: string | undefined
}

/** Who the caller is, as an auth provider established it. Set by `auth`; read by limits, templates and headers. */
export interface Identity {
  /** The auth provider's name in routes.json. */
  readonly provider: string
  readonly issuer: string
  readonly subject: string
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  readonly claims: Readonly<Record<string, unknown>>
  /** The id (not the secret) of the API key that came with the request. */
  readonly keyId?: string
  /** The quota tier of that key. */
  readonly tier?: string
}

/** The request as an upstream will get it; policies edit this and never `Exchange.request`. */
export interface Outgoing {
  method: string
  /** Canonical and escaped, without the target's own path in front. */
  path: string
  /** `''`, or the query with its `?`. */
  search: string
  /** By lower-case name: plain text, which costs no call into the runtime to read or to change. */
  readonly headers: Record<string, string>
  /** Whether a value holds bytes that are no UTF-8: text has lost them, only `Exchange.request` still knows them. */
  readonly hasOpaqueValues: boolean
  /** A stream can be sent once; bytes can be sent again by a retry. */
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | null
  /** Whether the answer's body comes in the very bytes that the origin sends, also when it is compressed and read here. */
  wantsRawResponse?: boolean
}

/** One change to the answer's headers on its way out. */
export interface HeaderEdit {
  readonly op: 'set' | 'append' | 'remove'
  readonly name: string
  readonly value: string
}

/** All that one request knows on its way through the gateway. */
export interface Exchange {
  /** The id in logs, problems and `{request.id}`: the W3C trace id, 32 lower-case hex digits. */
  readonly id: string
  /** As received; policies decide on this. */
  readonly request: Request
  /** Its headers by lower-case name: plain text, which costs no call into the runtime to look at. */
  readonly headers: Readonly<Record<string, string>>
  /** The id of the matched route. */
  readonly route: string
  /** Canonical; what was matched is what is forwarded. */
  readonly path: string
  /** Decoded once. A final wildcard's rest is under `*`, still escaped. */
  readonly params: Readonly<Record<string, string>>
  readonly client: Client
  readonly outgoing: Outgoing
  /** Aborts when the client has gone. A copy of an exchange by spread lacks it: the first look costs, and so it is found out only then. */
  readonly signal: AbortSignal
  /** Arrival, epoch milliseconds. */
  readonly startedAt: number
  /** Absolute epoch milliseconds; every try is cut from what is left. `Infinity` until an upstream sets it. */
  deadline: number
  readonly waitUntil: (work: Promise<unknown>) => void
  identity: Identity | undefined
  /** Applied to whatever is answered, refusals too, the latest (innermost) first, in one copy of the response. */
  readonly edits: HeaderEdit[]
  /** Tries sent to upstream targets so far. */
  attempts: number
  /** Host and port of the target tried last, for the log and spans; never shown to the client. */
  target: string | undefined
  /** Set when the client's own body broke a rule while it was streaming: that is the answer then, and no upstream's failure. */
  uploadProblem: ProblemCode | undefined
  /** Absent unless tracing is configured. */
  readonly trace: Trace | undefined
}
