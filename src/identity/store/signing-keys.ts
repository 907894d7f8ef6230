import { createHash, generateKeyPairSync } from 'node:crypto'
import { nextTurn, ROTATE_AFTER_MS, schedule, type Turn } from './key-schedule.ts'
import { rowsOf, type Ground } from './store.ts'
import type { IdentityApi } from '../types.ts'

/** An elliptic-curve key on P-256 (RFC 7518 §6.2), as published. */
export interface PublicJwk {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly alg: 'ES256'
  readonly use: 'sig'
  readonly kid: string
  readonly x: string
  readonly y: string
}

/** With its private part `d` (RFC 7518 §6.2.2): for isolates that sign, never for a key set. */
export interface PrivateJwk extends PublicJwk {
  readonly d: string
}

interface Stored extends Turn {
  readonly jwk: PrivateJwk
}

/** The gateway's own ES256 keys. */
export function makeSigningKeys({ sql, now, audit }: Ground): Pick<IdentityApi, 'signingKeys' | 'replaceSigningKeys'> {
  const add = (signsFrom: number) => {
    const jwk = makeKey()
    const row = [jwk.kid, signsFrom, JSON.stringify({ signsFrom, jwk } satisfies Stored)]
    sql.exec('INSERT INTO signing_keys VALUES (?, ?, ?)', ...row)
  }
  const all = () => rowsOf<Stored>(sql, 'SELECT data FROM signing_keys')

  return {
    signingKeys(rotateAfterMs = ROTATE_AFTER_MS) {
      const next = nextTurn(all(), rotateAfterMs, now())
      if (next !== undefined) add(next)
      const keys = all()
      const { active, published, refreshAfterMs } = schedule(keys, rotateAfterMs, now())!
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
