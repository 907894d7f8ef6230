/** What a signature can cover of a message; of a request everything but `status`, of a response only that and the fields. */
export interface Message {
  readonly method: string
  readonly scheme: 'http' | 'https'
  /** Lower case, without the scheme's own port; `''` where the sender named none. */
  readonly authority: string
  /** As it was sent, escapes and all; never empty. */
  readonly path: string
  /** `''`, or the query with its `?`. */
  readonly search: string
  /** The lines of one field, by lower-case name, joined by `, `. */
  readonly field: (name: string) => string | undefined
  readonly status?: number
}

const DEFAULT_PORT = { http: ':80', https: ':443' } as const

/** A `Host` as `@authority` wants it (RFC 9421 §2.2.3): lower case, without the port that the scheme implies. */
export function normalAuthority(host: string, scheme: 'http' | 'https'): string {
  const lower = host.toLowerCase()
  const port = DEFAULT_PORT[scheme]
  return lower.endsWith(port) ? lower.slice(0, -port.length) : lower
}
