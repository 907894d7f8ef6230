import type { ProblemCode } from './problem.ts'

/** The sender of a request, determined as `clientAddress` configures. */
export interface Client {
  /** Canonical IPv4 or IPv6 text; `''` when it is unknown. */
  readonly ip: string
  /** The value of `X-Forwarded-For` towards origins: the client, or `unknown`, then the trusted proxies in between. */
  readonly forwardedFor: string
  readonly scheme: 'http' | 'https'
  /** The host that the client named, with its port: `Host`, or what a trusted proxy states. */
  readonly host: string
  /** `X-Forwarded-Port` and `X-Forwarded-Prefix` of a trusted proxy: the port and the path prefix of the client's URL that the proxy removed. */
  readonly port?: string | undefined
  readonly prefix?: string | undefined
  /** ISO 3166-1 alpha-2; undefined where the platform does not state it, or the client is behind a proxy. */
  readonly country: string | undefined
}

/** The authenticated caller. Set by `auth`; read by limits, the cache key, templates and headers. */
export interface Identity {
  /** The auth provider's name in routes.json. */
  readonly provider: string
  readonly issuer: string
  readonly subject: string
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  readonly claims: Readonly<Record<string, unknown>>
  /** The id (not the secret) of the API key that the request carries. */
  readonly keyId?: string
  /** The quota tier of that key. */
  readonly tier?: string
}

/** The request as the upstream will receive it. Policies edit this and never `Exchange.request`. */
export interface Outgoing {
  method: string
  /** Canonical and escaped, without the path prefix of the target. */
  path: string
  /** `''`, or the query with its `?`. */
  search: string
  /** By lower-case name, as plain text: reading or changing one needs no call into the runtime. */
  readonly headers: Record<string, string>
  /** Whether a value holds bytes that are not UTF-8. They are lost in text; `Exchange.request` still has them. */
  readonly hasOpaqueValues: boolean
  /** A stream can be sent once; a retry can send bytes again. */
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | null
  /** Whether the body of the response is left as the origin encoded it, even where it is read here. */
  wantsRawResponse?: boolean
}

/** One change to the headers of the response. */
export interface HeaderEdit {
  readonly op: 'set' | 'append' | 'remove'
  readonly name: string
  readonly value: string
}

/** The state of one request on its way through the gateway. */
export interface Exchange {
  /** The id in logs, problems and `{request.id}`: the W3C trace id, 32 lower-case hex digits. */
  readonly id: string
  /** As received; policies decide on this. */
  readonly request: Request
  /** Its headers by lower-case name, as plain text: reading one needs no call into the runtime. */
  readonly headers: Readonly<Record<string, string>>
  /** The id of the matched route. */
  readonly route: string
  /** Canonical. The path that was matched is the path that is forwarded. */
  readonly path: string
  /** Decoded once. What a final wildcard matched is under `*`, still escaped. */
  readonly params: Readonly<Record<string, string>>
  readonly client: Client
  readonly outgoing: Outgoing
  /** Aborts when the client disconnects. Read lazily, because the first access costs; a copy of an exchange by spread lacks it. */
  readonly signal: AbortSignal
  /** When the request arrived, epoch milliseconds. */
  readonly startedAt: number
  /** Epoch milliseconds; each try is limited to the time left. `Infinity` until an upstream sets it, and for a body that streams unless the client set one. */
  deadline: number
  readonly waitUntil: (work: Promise<unknown>) => void
  identity: Identity | undefined
  /** Applied to every response, refusals too: the latest (innermost) first, in one copy of the response. */
  readonly edits: HeaderEdit[]
  /** Tries sent to upstream targets so far. */
  attempts: number
  /** Host and port of the target tried last, for the log and spans; never sent to the client. */
  target: string | undefined
  /** Set when the client's body broke a rule while it was streamed: the request is refused with it, and the upstream has not failed. */
  uploadProblem: ProblemCode | undefined
  /** Absent unless tracing is configured. */
  readonly trace: Trace | undefined
}

/** A span that is being recorded. Attribute names follow OpenTelemetry's HTTP semantic conventions. */
export interface Span {
  /** The W3C `traceparent` to send, which makes the callee's span a child of this one. */
  readonly traceparent: string
  set(name: string, value: string | number | boolean): void
  /** Marks the span as failed, with the code or class of the error as `error.type`. */
  fail(errorType: string): void
  /** Idempotent. */
  end(): void
}

/** The part of one request in a distributed trace (W3C Trace Context level 2). */
export interface Trace {
  /** 32 lower-case hex digits. */
  readonly id: string
  /** When false nothing is recorded: `start` must not be called, and only `traceparent` and `tracestate` are forwarded. */
  readonly sampled: boolean
  /** Sent to origins when nothing is recorded. */
  readonly traceparent: string
  readonly tracestate: string | undefined
  /** A child of the SERVER span. */
  start(name: string, kind: 'internal' | 'client'): Span
}

/** In milliseconds. The platform ends work that outlives its request after 30 s. */
const BACKGROUND_DEADLINE_MS = 20_000

/**
 * An exchange beside `x` that sends `outgoing` and whose response no client receives. A disconnect of the client of `x` does not end it, and
 * `x` does not change. `now` in epoch milliseconds.
 */
export function makeBackgroundExchange(x: Exchange, outgoing: Outgoing, now: number): Exchange {
  const { id, request, headers, route, path, params, client, identity, waitUntil } = x
  return {
    id,
    request,
    headers,
    route,
    path,
    params,
    client,
    outgoing,
    signal: new AbortController().signal,
    startedAt: now,
    deadline: now + BACKGROUND_DEADLINE_MS,
    waitUntil,
    identity,
    edits: [],
    attempts: 0,
    target: undefined,
    uploadProblem: undefined,
    trace: undefined,
  }
}
