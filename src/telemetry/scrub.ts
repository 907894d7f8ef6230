const SCRUBBED = '[scrubbed]'

/**
 * Patterns that recognise a secret by its form; the order matters. None backtracks over a long run of characters: the
 * time must not be quadratic in a text that a client can choose.
 */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [\s\S]*?(?:-----END [^-]{1,64}-----|$)/g, SCRUBBED],
  [/(?<![\w-])ey[\w-]{6,}(?:\.[\w-]*)+/g, SCRUBBED],
  [/\b((?:proxy-)?authorization|(?:set-)?cookie)(["']?\s{0,8}[:=]\s{0,8})[^\r\n]+/gi, `$1$2${SCRUBBED}`],
  [/\b(bearer|basic|digest|dpop)\s{1,8}[^\s,;"']+/gi, `$1 ${SCRUBBED}`],
  [
    /(token|secret|passw(?:or)?d|passphrase|api[-_]?key|signature|credential|assertion|session)([\w-]{0,32}["']?\s{0,8}[:=]\s{0,8})("[^"]*"|'[^']*'|[^\s,;&"']+)/gi,
    `$1$2${SCRUBBED}`,
  ],
  [/(\/\/)[^\s/@]+@/g, `$1${SCRUBBED}@`],
  [/(\/[^\s/?#"'<>]*\?)[^\s"'<>]+/g, `$1${SCRUBBED}`],
]

/** Characters that are scanned. The rest is dropped, because it may hold a secret. */
const MAX_LENGTH = 16_384

/** `text` without tokens, credentials, cookies and queries that are recognised by their form, and without `secrets`. */
export function scrub(text: string, secrets: readonly string[] = []): string {
  let clean = text.length > MAX_LENGTH ? cutAtSpace(text) : text
  for (const secret of secrets) clean = clean.replaceAll(secret, SCRUBBED)
  for (const [pattern, replacement] of PATTERNS) clean = clean.replace(pattern, replacement)
  return clean
}

/** Cut at a space, because half a secret would not be recognised. */
function cutAtSpace(text: string): string {
  const end = Math.max(text.lastIndexOf(' ', MAX_LENGTH), text.lastIndexOf('\n', MAX_LENGTH))
  return text.slice(0, Math.max(0, end))
}

const SECRET_HEADER = /auth|cookie|token|secret|key|passw|signature|credential|assertion|session|jwt/i
/** A shorter value would scrub ordinary words. */
const MIN_SECRET_LENGTH = 6
const MAX_SECRETS = 100

/** The secret values of a request, the longest first: credentials, cookies, the query. */
export function secretsOf(request: Request): string[] {
  const found = new Set<string>()
  for (const [name, value] of request.headers) {
    if (SECRET_HEADER.test(name)) for (const part of [value, ...value.split(/[\s;,=]+/)]) found.add(part)
  }
  const query = request.url.split('?').slice(1).join('?')
  for (const part of [query, ...query.split(/[&=]/).slice(1), ...new URLSearchParams(query).values()]) found.add(part)
  const long = [...found].filter((secret) => secret.length >= MIN_SECRET_LENGTH)
  return long.sort((a, b) => b.length - a.length).slice(0, MAX_SECRETS)
}
