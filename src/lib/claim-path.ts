/** The members of a token's payload. */
export type Claims = Readonly<Record<string, unknown>>

/**
 * Compiles `"tenant"` or `"realm_access.roles"` into a reader of that claim; undefined where there is none.
 * A claim whose whole name is the path comes first, because names such as `https://id.example/roles` hold dots; else each dot descends.
 * Only own members are read: `__proto__` and `constructor` are names like any other.
 */
export function compileClaimPath(path: string): (claims: Claims) => unknown {
  const steps = path.split('.')
  return (claims) => {
    if (Object.hasOwn(claims, path)) return claims[path]
    let value: unknown = claims
    for (const step of steps) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
      value = (value as Claims)[step]
    }
    return value
  }
}

const CLAIM_PATH = /^(?!\$(?:\.|$))[^\s.[\]{}"'*]+(?:\.[^\s.[\]{}"'*]+)*$/

/** Whether `path` is a name, or names with a dot between: not the `a[0]`, `$.a` or `*` of other notations, which nobody descends by here. */
export function isClaimPath(path: string): boolean {
  return CLAIM_PATH.test(path)
}
