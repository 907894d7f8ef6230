import { createHash, generateKeyPairSync } from 'node:crypto'
import type { IdentityApi } from '../api.ts'
import { MAX_ACCESS_TOKEN_MS } from '../store-limits.ts'
import type { PrivateJwk, PublicJwk } from '../types.ts'
import { rowsOf, type StoreContext } from './store-context.ts'

interface StoredKey extends KeyPeriod {
  readonly jwk: PrivateJwk
}

/** Makes the store of the gateway's own ES256 keys. */
export function makeSigningKeyStore({
  sql,
  now,
  audit,
}: StoreContext): Pick<IdentityApi, 'signingKeys' | 'replaceSigningKeys'> {
  const add = (signsFrom: number) => {
    const jwk = makeKey()
    const row = [jwk.kid, signsFrom, JSON.stringify({ signsFrom, jwk } satisfies StoredKey)]
    sql.exec('INSERT INTO signing_keys VALUES (?, ?, ?)', ...row)
  }
  const all = () => rowsOf<StoredKey>(sql, 'SELECT data FROM signing_keys')

  return {
    signingKeys(rotateAfterMs = ROTATE_AFTER_MS) {
      const next = nextSigningTime(all(), rotateAfterMs, now())
      if (next !== undefined) add(next)
      const keys = all()
      const { active, published, refreshAfterMs } = scheduleKeys(keys, rotateAfterMs, now())!
      for (const expired of keys.filter((key) => !published.includes(key)))
        sql.exec('DELETE FROM signing_keys WHERE kid = ?', expired.jwk.kid)
      return { active: active.jwk, published: published.map(({ jwk }) => publicPart(jwk)), refreshAfterMs }
    },
    replaceSigningKeys(by) {
      sql.exec('DELETE FROM signing_keys')
      add(now())
      audit('signingKeys.replace', '', by)
      return 'replaced'
    },
  }
}

/** A new key, whose `kid` is its thumbprint (RFC 7638). */
function makeKey(): PrivateJwk {
  const { x, y, d } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
  if (x === undefined || y === undefined || d === undefined) throw new Error('the key has no coordinates')
  const members = { crv: 'P-256', kty: 'EC', x, y } as const
  const kid = createHash('sha256').update(JSON.stringify(members)).digest('base64url')
  return { ...members, alg: 'ES256', use: 'sig', kid, d }
}

/** Members are named one by one, so that no private member can be published by accident. */
function publicPart({ kty, crv, alg, use, kid, x, y }: PrivateJwk): PublicJwk {
  return { kty, crv, alg, use, kid, x, y }
}

/** When a key starts to sign, in epoch milliseconds. */
interface KeyPeriod {
  readonly signsFrom: number
}

/** How long a key signs by default, in milliseconds. */
const ROTATE_AFTER_MS = 30 * 24 * 3_600_000
const MIN_ROTATE_MS = 3_600_000
/** How long a key is published before it signs (a third of its period, if that is less), because external verifiers cache a key set for hours. */
const LEAD_MS = 24 * 3_600_000
const REFRESH_MS = 300_000

/** Which keys sign and are published; valid for `refreshAfterMs`, which is 1 second to 5 minutes. */
interface KeySchedule<T extends KeyPeriod> {
  /** The key that signs now. */
  readonly active: T
  /** Newest first. */
  readonly published: readonly T[]
  readonly refreshAfterMs: number
}

/** When the next key starts to sign, in epoch milliseconds; undefined while it need not be published yet. */
function nextSigningTime(keys: readonly KeyPeriod[], rotateAfterMs: number, now: number): number | undefined {
  const newest = keys.toSorted(bySigningTime)[0]
  if (newest === undefined) return now
  return now >= dueAt(newest, rotateAfterMs) ? now + leadOf(rotateAfterMs) : undefined
}

/** The schedule of `keys` at `now`; undefined without keys. A key that is not published has expired. */
function scheduleKeys<T extends KeyPeriod>(
  keys: readonly T[],
  rotateAfterMs: number,
  now: number,
): KeySchedule<T> | undefined {
  const sorted = keys.toSorted(bySigningTime)
  const newest = sorted[0]
  // No key has started when the clock has stepped back; the oldest signs then.
  const active = sorted.find(({ signsFrom }) => signsFrom <= now) ?? sorted.at(-1)
  if (newest === undefined || active === undefined) return undefined
  const published = sorted.filter((_, i) => i === 0 || now < sorted[i - 1]!.signsFrom + PUBLISHED_AFTER_MS)
  const changeAt = newest.signsFrom > now ? newest.signsFrom : dueAt(newest, rotateAfterMs)
  return { active, published, refreshAfterMs: Math.min(REFRESH_MS, Math.max(1_000, changeAt - now)) }
}

/** How long a key is published after its period: isolates may sign with it for twice `refreshAfterMs`, and its last token is valid for its lifetime. */
const PUBLISHED_AFTER_MS = 2 * REFRESH_MS + MAX_ACCESS_TOKEN_MS

function leadOf(rotateAfterMs: number): number {
  return Math.min(LEAD_MS, Math.max(MIN_ROTATE_MS, rotateAfterMs) / 3)
}

function dueAt({ signsFrom }: KeyPeriod, rotateAfterMs: number): number {
  return signsFrom + Math.max(MIN_ROTATE_MS, rotateAfterMs) - leadOf(rotateAfterMs)
}

function bySigningTime(a: KeyPeriod, b: KeyPeriod): number {
  return b.signsFrom - a.signsFrom
}
