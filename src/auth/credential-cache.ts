import { PROBLEMS, type ProblemCode } from '../core/problem.ts'
import { sha256Hex } from '../identity/password.ts'
import type { Authenticated } from './authenticator.ts'
import type { WaitUntil } from './jwt/key-source.ts'
import { makeTokenCache } from './token-cache.ts'

/** What is kept of one credential. */
interface Entry {
  readonly answer: Authenticated
  /** About what it takes in memory: an issuer may say much of a token. */
  readonly bytes: number
  /** Epoch milliseconds; `REFUSED` once it was found to be good no more. */
  learnedAt: number
  /** When it was asked about last, or learned, and for how long it is not asked about again. */
  asked: { readonly at: number; readonly calmMs: number }
}

/** What one provider's memory is made with; of good answers and of refusals it keeps `maxEntries` each. */
export interface CredentialCacheSettings {
  /** Who is asked about a credential that is not remembered. Never rejects; a 503 means that nobody could say. */
  readonly ask: (credential: string) => Promise<Authenticated | ProblemCode>
  /** The 503 for a credential that nobody is asked about, because so many were wrong this second. */
  readonly unavailable: ProblemCode
  /** How long a good answer is believed, in milliseconds. */
  readonly ttlMs: number
  readonly maxEntries: number
  readonly now: () => number
}

/** What a store or an issuer said of secrets, remembered. */
export interface CredentialCache {
  /** A good answer that still counts at `now` (epoch ms). Past half of its time it is asked for again, in `waitUntil`. */
  readonly recall: (credential: string, now: number, waitUntil: WaitUntil) => Authenticated | undefined
  readonly ask: (credential: string) => Promise<Authenticated | ProblemCode>
}

const REFUSAL_TTL_MS = 10_000
/** Wrong credentials that this isolate asks about in one second, those that are being asked about included. */
const MAX_WRONG_PER_SECOND = 100
/** Of a good credential that is so no more. */
const REFUSED = -Infinity
/** For the good ones and the refused ones each. */
const MAX_BYTES = 8 * 1024 * 1024

/** By the distance: after a clock was set back, what is from the future is as old as it seems new. */
const isWithin = (ms: number, since: number, at: number): boolean => Math.abs(at - since) < ms

/**
 * Remembers answers by the credential's SHA-256, so that neither memory nor the time of a lookup says anything of the secret.
 * Refusals are kept apart: a flood of wrong credentials forgets no good one, and of the wrong ones only so many a second are
 * asked about at all. One that was good last time is asked about whatever comes beside it.
 */
export function makeCredentialCache({
  ask,
  unavailable,
  ttlMs,
  maxEntries,
  now,
}: CredentialCacheSettings): CredentialCache {
  const good = makeTokenCache<Entry>(maxEntries, MAX_BYTES, (_, { bytes }) => bytes)
  const refused = makeTokenCache<{ readonly code: ProblemCode; readonly learnedAt: number }>(maxEntries, MAX_BYTES)
  let second = { at: 0, wrong: 0 }

  const learn = async (hash: string, credential: string) => {
    const answer = await ask(credential)
    const at = now()
    if (typeof answer === 'object') {
      good.set(hash, { answer, bytes: bytesOf(answer), learnedAt: at, asked: { at, calmMs: ttlMs / 2 } })
    } else if (PROBLEMS[answer][0] !== 503) {
      const known = good.get(hash)
      if (known) known.learnedAt = REFUSED
      refused.set(hash, { code: answer, learnedAt: at })
    }
    return answer
  }

  return {
    recall(credential, at, waitUntil) {
      const hash = sha256Hex(credential)
      const known = good.get(hash)
      if (known === undefined || !isWithin(ttlMs, known.learnedAt, at)) return undefined
      if (at >= known.answer.validUntil || at < known.answer.validFrom) return undefined
      if (!isWithin(known.asked.calmMs, known.asked.at, at)) {
        // One question at a time, and another chance for it before the time is up.
        known.asked = { at, calmMs: ttlMs / 4 }
        waitUntil(learn(hash, credential))
      }
      return known.answer
    },
    async ask(credential) {
      const hash = sha256Hex(credential)
      const at = now()
      const refusal = refused.get(hash)
      if (refusal !== undefined && isWithin(Math.min(ttlMs, REFUSAL_TTL_MS), refusal.learnedAt, at)) return refusal.code
      if ((good.get(hash)?.learnedAt ?? REFUSED) !== REFUSED) return learn(hash, credential)
      if (!isWithin(1_000, second.at, at)) second = { at, wrong: 0 }
      if (second.wrong >= MAX_WRONG_PER_SECOND) return unavailable
      const mine = second
      mine.wrong++
      const answer = await learn(hash, credential)
      if (typeof answer === 'object') mine.wrong--
      return answer
    },
  }
}

/** The claims as parsed take about twice their text; the rest is the hash and about 1 KiB of objects. */
const bytesOf = ({ identity }: Authenticated) => 2 * JSON.stringify(identity.claims).length + 1024
