/** A path that is canonical already, as most are: no escapes, no empty segment except a last one, no segment that begins with a dot. */
const PLAIN = /^(?:\/[\w\-~!$&'()*+,;=:@][\w\-.~!$&'()*+,;=:@]*)*\/?$/

/**
 * Escapes that some origin might decode into a separator, a control character or a second round of decoding; and dot segments with parameters
 * (`..;v`), which Java servers resolve and URL parsers do not.
 */
const AMBIGUOUS =
  // eslint-disable-next-line no-control-regex
  /%(?:5c|[01][0-9a-f]|7f|25(?:2e|2f|5c|00))|%(?![0-9a-f]{2})|[\\\x00-\x1f\x7f]|(?:\/|%2f)\.{1,2}(?:;|%3b)/i
/** Servers that merge slashes before they resolve `..` read `/a//../b` as `/b`, others as `/a/b` (RFC 3986 §5.2.4). */
const DOT_SEGMENT = /\/\.{1,2}(?:\/|$)/
const UNRESERVED = /[\w\-.~]/
/** The characters that `new URL` would escape in a path (the URL standard's path percent-encode set): escaped here, so that `new URL` changes nothing. */
// eslint-disable-next-line no-control-regex
const UNESCAPED = /[^\x21\x24-\x3b\x3d\x40-\x5d\x5f\x61-\x7a\x7c\x7e]/gu

/** The raw path in an absolute URL, from its first `/` up to `?` or `#`. */
export function rawPath(url: string): string {
  const start = url.indexOf('/', url.indexOf('//') + 2)
  if (start === -1) return '/'
  const query = url.indexOf('?', start)
  const path = query === -1 ? url.slice(start) : url.slice(start, query)
  const fragment = path.indexOf('#')
  return fragment === -1 ? path : path.slice(0, fragment)
}

/** The query of an absolute URL with its `?`, without the fragment; `''` when there is none. */
export function rawSearch(url: string): string {
  const fragment = url.indexOf('#')
  const query = url.indexOf('?')
  if (query === -1 || (fragment !== -1 && fragment < query)) return ''
  return fragment === -1 ? url.slice(query) : url.slice(query, fragment)
}

/**
 * The one spelling of a path that is matched and forwarded: unreserved characters decoded, other escapes upper-case, dot segments resolved
 * (RFC 3986 §6.2.2), empty segments merged or, with `keep`, left as they are. A fixed point of `new URL`. `%2F` stays, for the router to accept or
 * refuse. Undefined for a path that two parsers could read in two ways: with `keep` also one that has a dot segment beside an empty one.
 */
export function canonicalPath(raw: string, slashes: 'merge' | 'keep' = 'merge'): string | undefined {
  if (PLAIN.test(raw)) return raw
  if (AMBIGUOUS.test(raw)) return undefined
  try {
    const escaped = raw.replace(UNESCAPED, encodeURIComponent)
    decodeURIComponent(escaped) // throws on what is not UTF-8
    const unescaped = escaped.replace(/%[0-9a-f]{2}/gi, canonicalEscape)
    const keepsEmpty = slashes === 'keep' && unescaped.includes('//')
    if (keepsEmpty && DOT_SEGMENT.test(unescaped)) return undefined
    const path = keepsEmpty ? unescaped : resolveSegments(unescaped)
    // `%25%32%65` has become `%252e` only now.
    return AMBIGUOUS.test(path) ? undefined : path
  } catch {
    return undefined
  }
}

function canonicalEscape(escape: string): string {
  const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16))
  return UNRESERVED.test(character) ? character : escape.toUpperCase()
}

function resolveSegments(path: string): string {
  const kept: string[] = []
  const segments = path.split('/').slice(1)
  for (const segment of segments) {
    if (segment === '..') kept.pop()
    else if (segment !== '.' && segment !== '') kept.push(segment)
  }
  const last = segments.at(-1)
  const endsInSlash = last === '' || last === '.' || last === '..'
  return `/${kept.join('/')}${endsInSlash && kept.length > 0 ? '/' : ''}`
}
