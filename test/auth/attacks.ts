import { base64url, exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from 'jose'
import { ISSUER, sign } from './issuer.ts'

const pair = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true })
/** The key that the issuer publishes, and the only one to be believed. */
export const jwk: JWK = { ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' }
const key = { privateKey: pair.privateKey, alg: 'RS256', jwk }
const spki = await exportSPKI(pair.publicKey)
const attacker = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true })
const attackerJwk = await exportJWK(attacker.publicKey)
const forger = { privateKey: attacker.privateKey, alg: 'RS256', jwk }

export const SECRET = 'the shared secret of the legacy provider, long enough'
const now = Math.floor(Date.now() / 1000)
const good = { scope: 'users:read', tenant: 'acme' }
const claims = { iss: ISSUER, aud: 'api', sub: 'ada', exp: now + 600, ...good }
const encode = (value: unknown) => base64url.encode(typeof value === 'string' ? value : JSON.stringify(value))
export const HEADER = { alg: 'RS256', kid: 'k1', typ: 'JWT' }

/** Signs any texts whatever as header and payload: as an attacker with `by` would, or an issuer with a bug. */
export async function raw(header: unknown, payload: unknown = claims, by = pair.privateKey): Promise<string> {
  const input = `${encode(header)}.${encode(payload)}`
  const signature = await crypto.subtle.sign('RSASSA-PKCS1-v1_5', by, new TextEncoder().encode(input))
  return `${input}.${base64url.encode(new Uint8Array(signature))}`
}

/** A token signed with HMAC, keyed with what everybody knows: the public key. */
export async function confused(
  secret: string | Uint8Array,
  header: Record<string, unknown> = {},
  iss = ISSUER,
): Promise<string> {
  const bytes = typeof secret === 'string' ? new TextEncoder().encode(secret) : secret
  return new SignJWT({ ...claims, iss })
    .setProtectedHeader({ alg: 'HS256', kid: 'k1', typ: 'JWT', ...header })
    .sign(bytes)
}

const withPayload = (text: string) => raw(HEADER, text)
const payloadWith = (member: string) => withPayload(JSON.stringify(claims).replace(/\}$/, `,${member}}`))
const der = base64url.decode(
  spki
    .replace(/-----[A-Z ]+-----|\s/g, '')
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, ''),
)

/** The last character with one of its unused bits set: the same bytes to a loose decoder. */
function loose(token: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return token.slice(0, -1) + alphabet[alphabet.indexOf(token.at(-1)!) | 1]
}

/** What it is, how it is refused, and how it is made. */
type Attack = readonly [name: string, codes: string, make: () => string | Promise<string>]

const SIGNATURES: Attack[] = [
  ...['none', 'None', 'NONE', 'nOnE'].flatMap((alg): Attack[] => [
    [`alg ${alg}, no signature`, 'token-malformed', () => `${encode({ ...HEADER, alg })}.${encode(claims)}.`],
    [`alg ${alg}, a signature`, 'token-algorithm', () => raw({ ...HEADER, alg })],
  ]),
  ['alg empty', 'token-algorithm', () => raw({ ...HEADER, alg: '' })],
  ['alg rs256', 'token-algorithm', () => raw({ ...HEADER, alg: 'rs256' })],
  ['alg RS256 with a space', 'token-algorithm', () => raw({ ...HEADER, alg: 'RS256 ' })],
  ['alg of the same family', 'token-algorithm', () => raw({ ...HEADER, alg: 'RS512' })],
  ['alg a list', 'token-malformed', () => raw({ ...HEADER, alg: ['RS256'] })],
  ['alg missing', 'token-malformed', () => raw({ kid: 'k1' })],
  ['HMAC with the PEM', 'token-algorithm', () => confused(spki)],
  ['HMAC with the PEM, trimmed', 'token-algorithm', () => confused(spki.trim())],
  ['HMAC with the DER', 'token-algorithm', () => confused(der)],
  ['HMAC with the JWK', 'token-algorithm', () => confused(JSON.stringify(jwk))],
  ['HMAC with the modulus', 'token-algorithm', () => confused(base64url.decode(jwk.n!))],
  ['HMAC with the PEM, for the HMAC provider', 'token-signature', () => confused(spki, {}, 'old')],
  ['HMAC with zeros, for the HMAC provider', 'token-signature', () => confused(new Uint8Array(64), {}, 'old')],
  ['RSA for the HMAC provider', 'token-algorithm', () => sign(key, { ...good, iss: 'old' })],
  ['another key under the known id', 'token-signature', () => sign(forger, good)],
  ['another key without an id', 'token-signature', () => sign(forger, good, { kid: undefined })],
  [
    'signature of another token',
    'token-signature',
    async () => (await raw(HEADER)).replace(/\.[^.]+\./, `.${encode({ ...claims, sub: 'eve' })}.`),
  ],
  [
    'signature cut short',
    'token-signature',
    () => `${encode(HEADER)}.${encode(claims)}.${base64url.encode(new Uint8Array(255))}`,
  ],
  [
    'signature of zeros',
    'token-signature',
    () => `${encode(HEADER)}.${encode(claims)}.${base64url.encode(new Uint8Array(256))}`,
  ],
  ['signature of one byte', 'token-signature', () => `${encode(HEADER)}.${encode(claims)}.AA`],
]

const HEADERS: Attack[] = [
  ['its own key: jwk', 'token-malformed', () => raw({ ...HEADER, jwk: attackerJwk }, claims, attacker.privateKey)],
  [
    'its own key: jku',
    'token-malformed',
    () => raw({ ...HEADER, jku: 'https://evil.test/' }, claims, attacker.privateKey),
  ],
  [
    'its own key: x5u',
    'token-malformed',
    () => raw({ ...HEADER, x5u: 'https://evil.test/' }, claims, attacker.privateKey),
  ],
  ['its own key: x5c', 'token-malformed', () => raw({ ...HEADER, x5c: ['MIIB'] }, claims, attacker.privateKey)],
  ['jku with the right signature', 'token-malformed', () => raw({ ...HEADER, jku: 'https://evil.test/' })],
  ['kid that climbs', 'token-key-unknown', () => raw({ ...HEADER, kid: '../../../../dev/null' })],
  ['kid that is a URL', 'token-key-unknown', () => raw({ ...HEADER, kid: 'https://evil.test/jwks' })],
  ['kid that is SQL', 'token-key-unknown', () => raw({ ...HEADER, kid: "k1' OR '1'='1" })],
  ['kid __proto__', 'token-key-unknown', () => raw({ ...HEADER, kid: '__proto__' })],
  ['kid empty', 'token-key-unknown', () => raw({ ...HEADER, kid: '' })],
  ['kid with a NUL', 'token-key-unknown', () => raw({ ...HEADER, kid: 'k1\0' })],
  ['kid a list', 'token-malformed', () => raw({ ...HEADER, kid: ['k1'] })],
  ['kid a number', 'token-malformed', () => raw({ ...HEADER, kid: 1 })],
  ['crit', 'token-malformed', () => raw({ ...HEADER, crit: ['exp'], exp: 1 })],
  ['crit empty', 'token-malformed', () => raw({ ...HEADER, crit: [] })],
  ['b64 false', 'token-malformed', () => raw({ ...HEADER, crit: ['b64'], b64: false })],
  ['b64 true', 'token-malformed', () => raw({ ...HEADER, b64: true })],
  ['zip', 'token-malformed', () => raw({ ...HEADER, zip: 'DEF' })],
  ['an empty list in the header', 'token-malformed', () => raw({ ...HEADER, x: [] })],
  ['null in the header', 'token-malformed', () => raw({ ...HEADER, x: null })],
  ['alg twice', 'token-malformed', () => raw('{"alg":"none","kid":"k1","alg":"RS256"}')],
  ['alg twice, escaped', 'token-malformed', () => raw('{"alg":"RS256","kid":"k1","\\u0061lg":"none"}')],
  ['kid twice', 'token-malformed', () => raw('{"alg":"RS256","kid":"evil","kid":"k1"}')],
  [
    'a deep header',
    'token-malformed',
    () => raw(`{"alg":"RS256","kid":"k1","x":${'['.repeat(700)}${']'.repeat(700)}}`),
  ],
  ['a header of 3 KiB', 'token-malformed', () => raw({ ...HEADER, x: 'x'.repeat(2300) })],
  ['a header that is a list', 'token-malformed', () => raw([HEADER])],
  ['a header with a byte order mark', 'token-malformed', () => raw(`\ufeff${JSON.stringify(HEADER)}`)],
  ['typ of a logout token', 'token-malformed', () => raw({ ...HEADER, typ: 'logout+jwt' })],
  ['typ of a DPoP proof', 'token-malformed', () => raw({ ...HEADER, typ: 'dpop+jwt' })],
]

const SPELLINGS: Attack[] = [
  ['loose trailing bits', 'token-malformed', async () => loose(await raw(HEADER))],
  ['padding', 'token-malformed', async () => `${await raw(HEADER)}==`],
  ['a space inside', 'token-malformed', async () => (await raw(HEADER)).replace('.', ' .')],
  ['a tab inside', 'token-malformed', async () => (await raw(HEADER)).replace('.', '.\t')],
  ['a trailing dot', 'token-malformed', async () => `${await raw(HEADER)}.`],
  ['two tokens', 'token-malformed', async () => `${await raw(HEADER)}, Bearer ${await raw(HEADER)}`],
  ['quotes', 'token-malformed', async () => `"${await raw(HEADER)}"`],
  [
    'standard base64',
    'token-malformed',
    async () => (await raw(HEADER)).replaceAll('-', '+').replaceAll('_', '/').padEnd(400, '+'),
  ],
  ['two parts', 'token-malformed', async () => (await raw(HEADER)).split('.').slice(0, 2).join('.')],
  ['five parts', 'token-malformed', () => `${encode({ alg: 'dir', enc: 'A256GCM' })}.e30.e30.e30.e30`],
  [
    'JSON serialisation',
    'token-malformed',
    async () => {
      const [header, payload, signature] = (await raw(HEADER)).split('.')
      return JSON.stringify({ protected: header, payload, signature })
    },
  ],
  ['a token in a token', 'token-malformed', async () => raw({ ...HEADER, cty: 'JWT' }, await raw(HEADER))],
  ['1 MB', 'token-malformed', () => raw(HEADER, { ...claims, x: 'x'.repeat(1_000_000) })],
  ['1 MB of dots', 'token-malformed', () => '.'.repeat(1_000_000)],
  ['9 KiB', 'token-malformed', () => raw(HEADER, { ...claims, x: 'x'.repeat(6500) })],
]

const CLAIMS: Attack[] = [
  ['exp a string', 'token-claims', () => raw(HEADER, { ...claims, exp: String(now + 600) })],
  ['exp 1e400', 'token-claims', () => payloadWith('"exp":1e400')],
  ['exp 1e300', 'token-claims', () => payloadWith('"exp":1e300')],
  ['exp a list', 'token-claims', () => raw(HEADER, { ...claims, exp: [now + 600] })],
  ['exp null', 'token-claims', () => payloadWith('"exp":null')],
  ['exp negative', 'token-expired', () => raw(HEADER, { ...claims, exp: -1 })],
  ['exp a past fraction', 'token-expired', () => raw(HEADER, { ...claims, exp: now - 60.5 })],
  ['exp in milliseconds, of 1970', 'token-expired', () => raw(HEADER, { ...claims, exp: 86_400_000 })],
  ['exp missing', 'token-claims', () => raw(HEADER, { ...claims, exp: undefined })],
  ['nbf 1e400', 'token-not-yet-valid', () => payloadWith('"nbf":1e400')],
  ['nbf -1e400', 'token-claims', () => payloadWith('"nbf":-1e400')],
  ['iat a string', 'token-claims', () => raw(HEADER, { ...claims, iat: 'now' })],
  ['aud with the right prefix', 'token-audience', () => raw(HEADER, { ...claims, aud: 'api.evil' })],
  ['aud a prefix of it', 'token-audience', () => raw(HEADER, { ...claims, aud: 'ap' })],
  ['aud a list of others', 'token-audience', () => raw(HEADER, { ...claims, aud: ['apis', 'xapi'] })],
  ['aud a list in a list', 'token-audience', () => raw(HEADER, { ...claims, aud: [['api']] })],
  ['aud an object', 'token-audience', () => raw(HEADER, { ...claims, aud: { includes: 'api' } })],
  ['aud empty', 'token-audience', () => raw(HEADER, { ...claims, aud: [] })],
  ['iss without its slash', 'token-issuer', () => raw(HEADER, { ...claims, iss: ISSUER.slice(0, -1) })],
  ['iss in capitals', 'token-issuer', () => raw(HEADER, { ...claims, iss: ISSUER.toUpperCase() })],
  ['iss a list', 'token-claims', () => raw(HEADER, { ...claims, iss: [ISSUER] })],
  ['iss through __proto__', 'token-claims', () => raw(HEADER, `{"__proto__":${JSON.stringify(claims)}}`)],
  ['scope that only begins like it', 'scope-missing', () => raw(HEADER, { ...claims, scope: 'users:read:none users' })],
  ['scope with a tab', 'scope-missing', () => raw(HEADER, { ...claims, scope: 'users:read\tx' })],
  ['scope a nested list', 'scope-missing', () => raw(HEADER, { ...claims, scope: [['users:read']] })],
  ['scope in capitals', 'scope-missing', () => raw(HEADER, { ...claims, scope: 'USERS:READ' })],
  [
    'a claim through __proto__',
    'claim-mismatch',
    () =>
      withPayload(JSON.stringify({ ...claims, tenant: undefined }).replace(/\}$/, ',"__proto__":{"tenant":"acme"}}')),
  ],
  [
    'a claim through constructor',
    'claim-mismatch',
    () => raw(HEADER, { ...claims, tenant: undefined, constructor: { prototype: { tenant: 'acme' } } }),
  ],
  ['sub an object', 'token-claims', () => raw(HEADER, { ...claims, sub: { toString: 'ada' } })],
  ['deep claims', 'token-malformed', () => payloadWith(`"x":${'['.repeat(4000)}${']'.repeat(4000)}`)],
]

/** Every forged or odd token that this gateway has been tried with. */
export const ATTACKS = [...SIGNATURES, ...HEADERS, ...SPELLINGS, ...CLAIMS]
