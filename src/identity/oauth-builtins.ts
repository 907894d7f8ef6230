/** The builtins that serve the auth provider with `"keys": "self"`. */
export const OAUTH_BUILTINS = ['token', 'revoke', 'introspect', 'userinfo', 'jwks', 'metadata'] as const

/** One of OAUTH_BUILTINS. A valid configuration that uses one has a provider with `"keys": "self"`. */
export type OAuthBuiltin = (typeof OAUTH_BUILTINS)[number]

/** The path of the first route of each OAuth builtin that the configuration has. */
export type OAuthPaths = Readonly<Partial<Record<OAuthBuiltin, string>>>

/** Whether a route's `builtin` is one of OAUTH_BUILTINS. */
export function isOAuthBuiltin(builtin: string | undefined): builtin is OAuthBuiltin {
  return OAUTH_BUILTINS.some((name) => name === builtin)
}

/** The paths of the OAuth builtins among `routes`. */
export function oauthPaths(
  routes: readonly { readonly builtin?: string | undefined; readonly match: { readonly path: string } }[],
): OAuthPaths {
  const found: Partial<Record<OAuthBuiltin, string>> = {}
  for (const { builtin, match } of routes) if (isOAuthBuiltin(builtin)) found[builtin] ??= match.path
  return found
}
