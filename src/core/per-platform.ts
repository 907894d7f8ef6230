/**
 * `make`, called once for each platform: what isolates of one platform share, such as a store's connection and its health. A test's
 * platform gets a value of its own.
 */
export function perPlatform<P extends object, T>(make: (platform: P) => T): (platform: P) => T {
  const made = new WeakMap<object, { readonly value: T }>()
  return (platform) => {
    const known = made.get(platform)
    if (known !== undefined) return known.value
    const value = make(platform)
    made.set(platform, { value })
    return value
  }
}

/** `make`, called once for each platform and name. `all` lists what was made for a platform so far, by name. */
export function perPlatformAndName<P extends object, T>(
  make: (platform: P, name: string) => T,
): ((platform: P, name: string) => T) & { readonly all: (platform: P) => ReadonlyMap<string, T> } {
  const all = perPlatform<P, Map<string, T>>(() => new Map<string, T>())
  const get = (platform: P, name: string): T => {
    const values = all(platform)
    const known = values.get(name)
    if (known !== undefined) return known
    const value = make(platform, name)
    values.set(name, value)
    return value
  }
  return Object.assign(get, { all })
}
