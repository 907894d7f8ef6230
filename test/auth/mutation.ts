import { base64url } from 'jose'

/** Uniform in [0, 1). */
type Random = () => number

/** The same sequence for the same seed (mulberry32), so that a token that got in can be made again. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** One of the good `tokens`, changed in one way or several: undefined in the rare case that it still is one of them. */
export function mutate(tokens: readonly string[], random: Random): string | undefined {
  const one = <T>(list: ArrayLike<T>): T => list[Math.floor(random() * list.length)]!
  let token = one(tokens)
  for (let changes = 1 + Math.floor(random() * 3); changes > 0; changes--) token = one(CHANGES)(token, one, tokens)
  // A field value loses the spaces around it on its way.
  const arrived = token.trim()
  return tokens.includes(arrived) || arrived === '' ? undefined : arrived
}

type One = <T>(list: ArrayLike<T>) => T
type Change = (token: string, one: One, tokens: readonly string[]) => string

const CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ,"%'
const up = (length: number) => Array.from({ length }, (_, index) => index)

const CHANGES: Change[] = [
  (token, one) => spliced(token, one(up(token.length)), 1, one(CHARACTERS)),
  (token, one) => spliced(token, one(up(token.length)), 0, one(CHARACTERS)),
  (token, one) => spliced(token, one(up(token.length)), one([1, 2, 3, 4, 50]), ''),
  (token, one) => swapped(token, one(up(token.length))),
  withPart((part, one, tokens) => one(one(tokens).split('.')) ?? part),
  withPart((part, one) => part + one(['', 'A', 'AA', 'AAAA', '=', '.', part])),
  withPart((part, one) => rewritten(part, (bytes) => flipped(bytes, one))),
  withPart((part, one) => rewritten(part, (bytes) => bytes.slice(0, one(up(bytes.length + 1))))),
  withPart((part, one) => rewritten(part, (bytes) => edited(bytes, one))),
]

function withPart(change: (part: string, one: One, tokens: readonly string[]) => string): Change {
  return (token, one, tokens) => {
    const parts = token.split('.')
    const at = one(up(parts.length))
    return parts.map((part, index) => (index === at ? change(part, one, tokens) : part)).join('.')
  }
}

const spliced = (text: string, at: number, count: number, put: string) =>
  text.slice(0, at) + put + text.slice(at + count)
const swapped = (text: string, at: number) =>
  text.slice(0, at) + text.charAt(at + 1) + text.charAt(at) + text.slice(at + 2)

/** The part made of other bytes, canonically encoded: what gets past a strict decoder. */
function rewritten(part: string, change: (bytes: Uint8Array) => Uint8Array): string {
  try {
    return base64url.encode(change(base64url.decode(part)))
  } catch {
    return part
  }
}

function flipped(bytes: Uint8Array, one: One): Uint8Array {
  const at = one(up(bytes.length))
  const bit = one(up(8))
  return bytes.map((byte, index) => (index === at ? byte ^ (1 << bit) : byte))
}

const NAMES = ['alg', 'kid', 'typ', 'crit', 'jwk', 'b64', 'iss', 'aud', 'sub', 'exp', 'nbf', 'scope', '__proto__']
const VALUES = [
  '"none"',
  '"HS256"',
  '"RS256"',
  '"ES256"',
  '"k1"',
  '"admin"',
  '9999999999',
  '1e400',
  '-1',
  'null',
  '[]',
  '{}',
]

/** Other members in a part that is JSON: one more (perhaps a second of its name), or one gone. */
function edited(bytes: Uint8Array, one: One): Uint8Array {
  const text = new TextDecoder().decode(bytes)
  const member = `"${one(NAMES)}":${one(VALUES)}`
  const changed = one([
    text.replace('{', `{${member},`),
    text.replace(/\}$/, `,${member}}`),
    text.replace(/"[a-z]+":("[^"]*"|\d+),?/, ''),
    text.replace(/:("[^"]*"|\d+)/, () => `:${one(VALUES)}`),
    ` ${text}`,
  ])
  return new TextEncoder().encode(changed)
}
