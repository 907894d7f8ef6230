import type { Exchange } from '../core/exchange.ts'

/** The challenge of providers that read a bearer token (RFC 6750 §3). */
export const BEARER_CHALLENGE = 'Bearer realm="api"'

/** `b64token` (RFC 6750 §2.1): whatever else follows the scheme, two fields joined by a comma too, is a malformed request. */
export const isBearerToken = (text: string): boolean => /^[\w.~+/-]+=*$/.test(text)

/** What follows `Bearer ` (in any case, RFC 9110 §11.1) in `Authorization`; undefined when there is no such credential. */
export function bearerToken({ headers }: Pick<Exchange, 'headers'>): string | undefined {
  const header = headers['authorization']
  return header === undefined ? undefined : /^bearer +([^]+)$/i.exec(header)?.[1]
}
