/** The scope that asks for a refresh token (OpenID Connect Core §11); it is no right by itself. */
const OFFLINE = 'offline_access'

/** The scopes of a `scope` parameter (RFC 6749 §3.3), without `offline_access`. */
function words(asked: string | undefined): string[] {
  return (asked ?? '').split(' ').filter((word) => word !== '' && word !== OFFLINE)
}

/** What is granted of what may be: all of it when nothing is asked for, undefined when more is. */
export function grantScopes(asked: string | undefined, allowed: readonly string[]): readonly string[] | undefined {
  const scopes = [...new Set(words(asked))]
  if (scopes.length === 0) return allowed
  return scopes.every((scope) => allowed.includes(scope)) ? scopes : undefined
}

/** Whether a `scope` parameter names `offline_access`; false where there is no parameter. */
export function asksForRefresh(asked: string | undefined): boolean {
  return (asked ?? '').split(' ').includes(OFFLINE)
}

/** What a user may do through a client: no more than either of them may. Without a client, all that the user may. */
export function scopesThrough(
  client: { readonly scopes: readonly string[] } | undefined,
  scopes: readonly string[],
): readonly string[] {
  return client === undefined ? scopes : scopes.filter((scope) => client.scopes.includes(scope))
}
