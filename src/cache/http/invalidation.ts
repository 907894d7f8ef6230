import type { Fields } from './fields.ts'

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/** Whether a method may change what it is sent to: all that are not known to be safe (RFC 9111 §4.4). */
export const isUnsafe = (method: string): boolean => !SAFE.has(method)

/**
 * The URLs whose stored answers an answer to `method` at `url` outdates (RFC 9111 §4.4): with success the target itself, and what
 * Location and Content-Location name of the same origin; never another origin's, which could then be emptied by anybody.
 */
export function invalidatedUrls(method: string, status: number, url: string, answer: Fields): readonly string[] {
  if (!isUnsafe(method) || status < 200 || status > 399) return []
  const target = new URL(url)
  const named = ['location', 'content-location'].flatMap((name) => {
    const reference = answer.get(name)
    const other = reference === null ? null : URL.parse(reference, url)
    return other === null || other.origin !== target.origin ? [] : [withoutFragment(other)]
  })
  return [...new Set([withoutFragment(target), ...named])]
}

function withoutFragment(url: URL): string {
  url.hash = ''
  return url.href
}
