import { base64url } from 'jose'

const MAX_HEADER_CHARS = 2 * 1024

/** The unverified contents of a token: only for the choice of a key. */
export interface CompactJws {
  readonly text: string
  readonly alg: string
  readonly kid: string | undefined
  readonly issuer: unknown
}

/**
 * Reads a JWT in JWS compact serialisation (RFC 7515 §7.1), or gives undefined for any other text.
 * Stricter than jose, which takes spaces and loose trailing bits: two spellings of one token would be two cache keys,
 * and a text that two parsers read differently circumvents one of them.
 */
export function parseCompactJws(text: string): CompactJws | undefined {
  const parts = COMPACT.exec(text)
  const header = parts && parseHeader(parts[1]!)
  const claims = parts && parseJsonObject(decode(parts[2]!))
  if (!header || !claims) return undefined
  return { text, ...header, issuer: Object.hasOwn(claims, 'iss') ? claims.iss : undefined }
}

/** Canonical base64url (RFC 4648 §3.5): no padding, and the unused bits of the last character are zero. */
const PART = String.raw`(?=[\w-])(?:[\w-]{4})*(?:[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])?`
const COMPACT = new RegExp(String.raw`^(${PART})\.(${PART})\.(${PART})$`)

/**
 * Members that contain a key, or change the interpretation of the rest. `jku` and `x5u`, the addresses of keys, are ignored as RFC 7515 §4.1.2
 * allows, because some issuers (UAA, XSUAA) always send them; nothing is fetched from there.
 */
const REFUSED_MEMBERS = ['crit', 'b64', 'x5c', 'jwk', 'zip', 'enc']
/** The types of access tokens. Tokens of other types (`logout+jwt`, `dpop+jwt`) are not access tokens (RFC 8725 §3.11). */
const ACCESS_TOKEN_TYPE = /^(?:application\/)?(?:at\+)?jwt$/i

function parseHeader(part: string): Pick<CompactJws, 'alg' | 'kid'> | undefined {
  if (part.length > MAX_HEADER_CHARS) return undefined
  const header = parseJsonObject(decode(part))
  if (!header) return undefined
  if (REFUSED_MEMBERS.some((name) => Object.hasOwn(header, name))) return undefined
  if (Object.values(header).some((value) => typeof value === 'object')) return undefined
  const { alg, kid, typ } = header
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) return undefined
  if (typ !== undefined && !(typeof typ === 'string' && ACCESS_TOKEN_TYPE.test(typ))) return undefined
  return { alg, kid }
}

function decode(part: string): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(base64url.decode(part))
  } catch {
    return undefined
  }
}

/**
 * The object in a JSON text; undefined for any other text, and for one in which a member name stands twice in an object, at any depth:
 * `JSON.parse` keeps the last member, another parser the first (RFC 8259 §4), and RFC 7519 §4 lets a token with repeated claim names be rejected.
 * Undefined too when it nests more than 64 levels.
 */
export function parseJsonObject(json: string | undefined): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json ?? '')
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return countNames(value) === countMembers(json!) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** The members of all objects in a valid JSON text: outside strings each colon ends a name. */
function countMembers(json: string): number {
  return json.replace(/"[^"\\]*(?:\\.[^"\\]*)*"/g, '').split(':').length - 1
}

/** Claims of real issuers nest a few levels. Functions that descend into claims could exhaust the stack with thousands. */
const MAX_DEPTH = 64

/** The names of all objects in a parsed value; NaN, which equals no count, when it nests deeper than `MAX_DEPTH`. */
function countNames(value: object, depth = 1): number {
  if (depth > MAX_DEPTH) return Number.NaN
  const values: unknown[] = Object.values(value)
  const own = Array.isArray(value) ? 0 : values.length
  return values.reduce<number>(
    (count, inner) => (typeof inner === 'object' && inner !== null ? count + countNames(inner, depth + 1) : count),
    own,
  )
}

/** The strings of an array, or a string as the only one; none of anything else. */
export function claimNames(value: unknown): string[] {
  return [value].flat().filter((item) => typeof item === 'string')
}

/** As `claimNames`, but a string is split at its spaces, which is the form of the `scope` claim (RFC 8693 §4.2). */
export function claimTexts(value: unknown): string[] {
  return typeof value === 'string' ? value.split(' ').filter((word) => word !== '') : claimNames(value)
}
