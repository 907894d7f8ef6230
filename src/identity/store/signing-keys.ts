import { createHash, generateKeyPairSync } from 'node:crypto'
import { rowsOf, type StoreContext } from './store-context.ts'
import type { PublicJwk, PrivateJwk } from '../types.ts'
import { MAX_ACCESS_TOKEN_MS } from '../config.ts'
import type { IdentityApi } from '../api.ts'

interface Stored extends KeyPeriod {
  readonly jwk: PrivateJwk
}

/** The gateway's own ES256 keys. */
export function makeSigningKeyStore({
  sql,
  now,
  audit,
}: StoreContext): Pick<IdentityApi, 'signingKeys' | 'replaceSigningKeys'> {
  const add = (signsFrom: number) => {
    const jwk = makeKey()
    const row = [jwk.kid, signsFrom, JSON.stringify({ signsFrom, jwk } satisfies Stored)]
    sql.exec('INSERT INTO signing_keys VALUES (?, ?, ?)', ...row)
  }
  const all = () => rowsOf<Stored>(sql, 'SELECT data FROM signing_keys')

  return {
    signingKeys(rotateAfterMs = ROTATE_AFTER_MS) {
      const next = nextKeyPeriod(all(), rotateAfterMs, now())
      if (next !== undefined) add(next)
      const keys = all()
      const { active, published, refreshAfterMs } = scheduleKeys(keys, rotateAfterMs, now())!
      for (const dead of keys.filter((key) => !published.includes(key)))
        sql.exec('DELETE FROM signing_keys WHERE kid = ?', dead.jwk.kid)
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

/** Its id is its thumbprint (RFC 7638). */
function makeKey(): PrivateJwk {
  const { x, y, d } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
  if (x === undefined || y === undefined || d === undefined) throw new Error('the key has no coordinates')
  const members = { crv: 'P-256', kty: 'EC', x, y } as const
  const kid = createHash('sha256').update(JSON.stringify(members)).digest('base64url')
  return { ...members, alg: 'ES256', use: 'sig', kid, d }
}

/** Named one by one: what is published must not grow a private member by accident. */
function publicPart({ kty, crv, alg, use, kid, x, y }: PrivateJwk): PublicJwk {
  return { kty, crv, alg, use, kid, x, y }
}

/** When a signing key was, is, or will be used. Epoch milliseconds. */
export interface KeyPeriod {
  readonly signsFrom: number
}

/** How long a key signs unless it is said otherwise. */
export const ROTATE_AFTER_MS = 30 * 24 * 3_600_000
const MIN_ROTATE_MS = 3_600_000
/** A key is published so long before it signs (a third of its time, if that is less): verifiers elsewhere keep a key set for hours. */
const LEAD_MS = 24 * 3_600_000
const REFRESH_MS = 300_000

/** How keys stand at one moment; holds for `refreshAfterMs`, which is 1 second to 5 minutes. */
export interface KeySchedule<T extends KeyPeriod> {
  /** Signs now. */
  readonly active: T
  /** Newest first. */
  readonly published: readonly T[]
  readonly refreshAfterMs: number
}

/** From when the next key should sign; undefined while it is not time to publish it. */
export function nextKeyPeriod(turns: readonly KeyPeriod[], rotateAfterMs: number, now: number): number | undefined {
  const newest = turns.toSorted(byAge)[0]
  if (newest === undefined) return now
  return now >= dueAt(newest, rotateAfterMs) ? now + leadOf(rotateAfterMs) : undefined
}

/** Which of the keys signs, which are published, and until when that stays so; undefined without keys. A key that is in no list is dead. */
export function scheduleKeys<T extends KeyPeriod>(
  turns: readonly T[],
  rotateAfterMs: number,
  now: number,
): KeySchedule<T> | undefined {
  const sorted = turns.toSorted(byAge)
  const newest = sorted[0]
  // None has begun when the clock has stepped back; then the oldest is the best known.
  const active = sorted.find(({ signsFrom }) => signsFrom <= now) ?? sorted.at(-1)
  if (newest === undefined || active === undefined) return undefined
  const published = sorted.filter((_, i) => i === 0 || now < sorted[i - 1]!.signsFrom + AFTERLIFE_MS)
  const changeAt = newest.signsFrom > now ? newest.signsFrom : dueAt(newest, rotateAfterMs)
  return { active, published, refreshAfterMs: Math.min(REFRESH_MS, Math.max(1_000, changeAt - now)) }
}

/** Isolates may sign with what they knew for twice as long as they were told, and such a token then lives its life. */
const AFTERLIFE_MS = 2 * REFRESH_MS + MAX_ACCESS_TOKEN_MS

function leadOf(rotateAfterMs: number): number {
  return Math.min(LEAD_MS, Math.max(MIN_ROTATE_MS, rotateAfterMs) / 3)
}

function dueAt({ signsFrom }: KeyPeriod, rotateAfterMs: number): number {
  return signsFrom + Math.max(MIN_ROTATE_MS, rotateAfterMs) - leadOf(rotateAfterMs)
}

function byAge(a: KeyPeriod, b: KeyPeriod): number {
  return b.signsFrom - a.signsFrom
}
