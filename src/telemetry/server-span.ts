import type { ProblemCode } from '../core/problem.ts'
import type { SpanRecord } from './span.ts'

/** What is known of a request once it is answered. */
export interface RequestSummary {
  /** The route's id; undefined when none matched. */
  readonly route: string | undefined
  readonly method: string
  /** Without its query. */
  readonly path: string
  readonly scheme: string
  /** The `Host` that the client asked for, with its port. */
  readonly host: string
  readonly clientIp: string
  readonly userAgent?: string | undefined
  readonly status: number
  /** Set when the gateway itself refused. */
  readonly code: ProblemCode | undefined
  /** Epoch milliseconds. */
  readonly endedAt: number
}

/** Names and fills a SERVER span by the HTTP semantic conventions; `umbral.problem` holds the code of a refusal. */
export function describeServerSpan(span: SpanRecord, facts: RequestSummary): void {
  const { attributes } = span
  const method = describeMethod(span, facts)
  span.name = facts.route === undefined ? method : `${method} ${facts.route}`
  if (facts.route !== undefined) attributes['http.route'] = facts.route
  attributes['url.path'] = facts.path
  attributes['url.scheme'] = facts.scheme
  const [, address, port] = /^(.*?)(?::(\d+))?$/.exec(facts.host) ?? []
  if (address) attributes['server.address'] = address.replace(/^\[|\]$/g, '')
  if (port !== undefined) attributes['server.port'] = Number(port)
  if (facts.clientIp) attributes['client.address'] = facts.clientIp
  if (facts.userAgent) attributes['user_agent.original'] = facts.userAgent
  attributes['http.response.status_code'] = facts.status
  if (facts.code !== undefined) attributes['umbral.problem'] = facts.code
  if (facts.status >= 500) span.errorType = facts.code ?? String(facts.status)
}

/** The conventions keep names few: a method that a client made up is `_OTHER`, and `HTTP` in the span's name. */
function describeMethod({ attributes }: SpanRecord, { method, code }: RequestSummary): string {
  const isKnown = code !== 'method-not-implemented'
  attributes['http.request.method'] = isKnown ? method : '_OTHER'
  if (!isKnown) attributes['http.request.method_original'] = method
  return isKnown ? method : 'HTTP'
}
