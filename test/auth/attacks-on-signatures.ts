import { base64url, exportJWK, exportSPKI } from 'jose'
import {
  attacker,
  claims,
  confused,
  curveJwk,
  edwardsJwk,
  encode,
  good,
  HEADER,
  jwk,
  onCurve,
  onEdwards,
  privateKey,
  publicKey,
  raw,
  weakly,
  type Attack,
} from './forgery.ts'
import { sign } from './issuer.ts'
import { ROCA_KEY, SHORT_KEY } from './weak-keys.ts'

const key = { privateKey, alg: 'RS256', jwk }
const forger = { privateKey: attacker.privateKey, alg: 'RS256', jwk }
const spki = await exportSPKI(publicKey)
const der = Uint8Array.from(atob(spki.replace(/-----[A-Z ]+-----|\s/g, '')), (character) => character.charCodeAt(0))
const attackerJwk = await exportJWK(attacker.publicKey)

const unsigned = (signature: Uint8Array, header: object = HEADER) =>
  `${encode(header)}.${encode(claims)}.${base64url.encode(signature)}`
const bytes = (length: number, fill = 0) => new Uint8Array(length).fill(fill)
const fromHex = (hex: string) => Uint8Array.from(hex.match(/../g)!, (pair) => parseInt(pair, 16))
const toHex = (value: Uint8Array) => Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('')

const ALGORITHMS: Attack[] = [
  ...['none', 'None', 'NONE', 'nOnE'].flatMap((alg): Attack[] => [
    [`alg ${alg}, no signature`, 'token-malformed', () => `${encode({ ...HEADER, alg })}.${encode(claims)}.`],
    [`alg ${alg}, a signature`, 'token-algorithm', () => raw({ ...HEADER, alg })],
  ]),
  ['alg none, two parts', 'token-malformed', () => `${encode({ alg: 'none' })}.${encode(claims)}`],
  ...['', 'rs256', 'RS256 ', 'RS256\0', 'RS512', 'PS256', 'HS256', 'ES256', 'RSA1_5', 'dir', '__proto__'].map(
    (alg): Attack => [`alg ${JSON.stringify(alg)}`, 'token-algorithm', () => raw({ ...HEADER, alg })],
  ),
  ...[['RS256'], { RS256: true }, 256, true, null, undefined].map((alg): Attack => [
    `alg ${JSON.stringify(alg)}`,
    'token-malformed',
    () => raw({ ...HEADER, alg }),
  ]),
]

const CONFUSED: Attack[] = [
  ...Object.entries<string | Uint8Array>({
    PEM: spki,
    'PEM, trimmed': spki.trim(),
    'PEM with CRLF': spki.replaceAll('\n', '\r\n'),
    DER: der,
    JWK: JSON.stringify(jwk),
    modulus: base64url.decode(jwk.n!),
  }).flatMap(([name, secret]): Attack[] => [
    [`HMAC with the ${name}`, 'token-algorithm', () => confused(secret)],
    [`HMAC with the ${name}, for the HMAC provider`, 'token-signature', () => confused(secret, {}, 'old')],
  ]),
  ['HS512 with the PEM', 'token-algorithm', () => confused(spki, { alg: 'HS512' })],
  ['HMAC with the curve’s x', 'token-algorithm', () => confused(base64url.decode(curveJwk.x!), { kid: 'c1' }, 'curve')],
  [
    'HMAC with the Edwards x',
    'token-algorithm',
    () => confused(base64url.decode(edwardsJwk.x!), { kid: 'e1' }, 'edwards'),
  ],
  [
    'HMAC with a published symmetric key',
    'token-algorithm',
    () => confused('a secret that everybody can read!', { kid: 'oct' }),
  ],
  ['HMAC with zeros, for the HMAC provider', 'token-signature', () => confused(bytes(64), {}, 'old')],
  ['HMAC with the kid, for the HMAC provider', 'token-signature', () => confused('k1', {}, 'old')],
  ['RSA for the HMAC provider', 'token-algorithm', () => sign(key, { ...good, iss: 'old' })],
  ['RSA for the curve’s provider', 'token-algorithm', () => sign(key, { ...good, iss: 'curve' })],
]

const RSA_SIGNATURES: Attack[] = [
  ['another key under the known id', 'token-signature', () => sign(forger, good)],
  ['another key without an id', 'token-signature', () => sign(forger, good, { kid: undefined })],
  ['an RSA key of 1024 bits', 'token-key-unknown', () => weakly(SHORT_KEY, 'short')],
  ['a ROCA key', 'token-key-unknown', () => weakly(ROCA_KEY, 'roca')],
  [
    'signature of another token',
    'token-signature',
    async () => (await raw(HEADER)).replace(/\.[^.]+\./, `.${encode({ ...claims, sub: 'eve' })}.`),
  ],
  [
    'signature of the same claims under another header',
    'token-signature',
    async () => (await raw(HEADER)).replace(/^[^.]+/, encode({ ...HEADER, typ: 'at+jwt' })),
  ],
  ...[1, 255, 256, 257, 512].map((length): Attack => [
    `a signature of ${length} zeros`,
    'token-signature',
    () => unsigned(bytes(length)),
  ]),
  ['a signature of ones', 'token-signature', () => unsigned(bytes(256, 255))],
  ['a signature that is the modulus', 'token-signature', () => unsigned(base64url.decode(jwk.n!))],
  ['a signature in JSON of its bytes', 'token-signature', () => unsigned(new TextEncoder().encode('[0,0,0]'))],
]

/** The orders of P-256 and of edwards25519. */
const N = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'
const L = 0x1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3edn
const whole = (r: string, s: string) => () => fromHex(r + s)
const [ZERO, ONE] = ['00'.repeat(32), `${'00'.repeat(31)}01`]

/** As ASN.1 has it (X9.62), which is not how JWS has it (RFC 7518 §3.4). */
function asDer(signature: Uint8Array): Uint8Array {
  const integers = [signature.slice(0, 32), signature.slice(32)].map((half) => [2, 33, 0, ...half])
  return Uint8Array.from([0x30, 70, ...integers.flat()])
}

/** S + L is the same number to a verifier that does not check its range (RFC 8032 §5.1.7). */
function malleated(signature: Uint8Array): Uint8Array {
  const s = BigInt(`0x${toHex(signature.slice(32).toReversed())}`) + L
  return Uint8Array.from([...signature.slice(0, 32), ...fromHex(s.toString(16).padStart(64, '0')).toReversed()])
}

const CURVE_SIGNATURES: Attack[] = [
  ['ES256: DER', 'token-signature', () => onCurve(asDer)],
  ['ES256: psychic, all zeros', 'token-signature', () => onCurve(() => bytes(64))],
  ['ES256: r 0', 'token-signature', () => onCurve(whole(ZERO, ONE))],
  ['ES256: s 0', 'token-signature', () => onCurve(whole(ONE, ZERO))],
  ['ES256: r and s the order', 'token-signature', () => onCurve(whole(N, N))],
  ['ES256: r the order', 'token-signature', () => onCurve(whole(N, ONE))],
  ['ES256: r and s 1', 'token-signature', () => onCurve(whole(ONE, ONE))],
  [
    'ES256: halves swapped',
    'token-signature',
    () => onCurve((both) => Uint8Array.from([...both.slice(32), ...both.slice(0, 32)])),
  ],
  ['ES256: a byte short', 'token-signature', () => onCurve((signature) => signature.slice(0, 63))],
  ['ES256: a byte more', 'token-signature', () => onCurve((signature) => Uint8Array.from([...signature, 0]))],
  [
    'ES256: halves padded to 48',
    'token-signature',
    () => onCurve((both) => Uint8Array.from([...bytes(16), ...both.slice(0, 32), ...bytes(16), ...both.slice(32)])),
  ],
  ['ES256: called ES384', 'token-algorithm', () => onCurve(undefined, { alg: 'ES384' })],
  ['ES256: called ES256K', 'token-algorithm', () => onCurve(undefined, { alg: 'ES256K' })],
  ['ES256: under the RSA key’s id', 'token-key-unknown', () => onCurve(undefined, { kid: 'k1' })],
  ['EdDSA: zeros', 'token-signature', () => onEdwards(() => bytes(64))],
  ['EdDSA: the neutral point and 0', 'token-signature', () => onEdwards(() => fromHex(`01${'00'.repeat(63)}`))],
  ['EdDSA: S + L', 'token-signature', () => onEdwards(malleated)],
  ['EdDSA: a byte more', 'token-signature', () => onEdwards((signature) => Uint8Array.from([...signature, 0]))],
  ['EdDSA: called Ed448', 'token-algorithm', () => onEdwards(undefined, { alg: 'Ed448' })],
]

const OWN_KEYS: Attack[] = (
  [
    ['jwk', attackerJwk],
    ['jwk', jwk],
    ['x5c', ['MIIB']],
    ['x5c', []],
  ] as const
).flatMap(([name, value]): Attack[] => [
  [
    `its own key: ${name} ${JSON.stringify(value)}`,
    'token-malformed',
    () => raw({ ...HEADER, [name]: value }, claims, attacker.privateKey),
  ],
  [`the right key and ${name} ${JSON.stringify(value)}`, 'token-malformed', () => raw({ ...HEADER, [name]: value })],
])

/** Addresses of keys are ignored, so that these tokens are ones of a wrong key. */
const ADDRESSES = (
  [
    ['jku', 'https://evil.test/'],
    ['jku', 'https://id.test/jwks.json'],
    ['x5u', 'https://evil.test/'],
  ] as const
).map(([name, value]): Attack => [
  `its own key at ${name} ${JSON.stringify(value)}`,
  'token-signature',
  () => raw({ ...HEADER, [name]: value }, claims, attacker.privateKey),
])

/** Wrong keys, wrong algorithms, wrong signatures. */
export const SIGNATURE_ATTACKS = [
  ...ALGORITHMS,
  ...CONFUSED,
  ...RSA_SIGNATURES,
  ...CURVE_SIGNATURES,
  ...OWN_KEYS,
  ...ADDRESSES,
]
