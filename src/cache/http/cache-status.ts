/** Why a request was forwarded to the origin: the values of RFC 9211 §2.2. */
export type ForwardReason = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'miss' | 'request' | 'stale' | 'partial'

/** How the cache handled a request (RFC 9211 §2). */
export type CacheHandling = (
  { readonly hit: true } | { readonly fwd: ForwardReason; readonly fwdStatus?: number | undefined }
) & {
  /** Whether the origin's response is stored, and whether it was fetched for another request. */
  readonly stored?: boolean | undefined
  readonly collapsed?: boolean | undefined
  /** Whole seconds of freshness left; negative when stale. */
  readonly ttl?: number | undefined
  /** A token (RFC 9651 §3.3.4): the tier, or the rule that forbade to store it. */
  readonly detail?: string | undefined
}

/** The value of Cache-Status: the members of caches nearer to the origin in `before`, then this cache's member. */
export function cacheStatus(handling: CacheHandling, before?: string | null): string {
  const parts = ['umbral']
  if ('hit' in handling) parts.push('hit')
  else {
    parts.push(`fwd=${handling.fwd}`)
    if (handling.fwdStatus !== undefined) parts.push(`fwd-status=${handling.fwdStatus}`)
  }
  if (handling.ttl !== undefined) parts.push(`ttl=${handling.ttl}`)
  if (handling.stored === true) parts.push('stored')
  if (handling.collapsed === true) parts.push('collapsed')
  if (handling.detail !== undefined) parts.push(`detail=${handling.detail}`)
  const own = parts.join('; ')
  return before === undefined || before === null || before.trim() === '' ? own : `${before}, ${own}`
}
