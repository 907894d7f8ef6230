import { makeLeasedLimiter } from '../../src/limits/lease/leased-limiter.ts'
import type { LimiterSpec, LimitVerdict, StoreLimiter, TakeGrant, TakeRequest } from '../../src/limits/limiter.ts'
import { takeFrom, type WindowCount } from '../../src/limits/store/windows.ts'

/** A request that was let pass: when, in the store's time, in truth and as its verdict says. */
export interface Admission {
  readonly at: number
  readonly decidedAt: number
  readonly cost: number
}

/** What becomes of a call: lost ones are counted by the store, and their answers never come. */
export interface Call {
  readonly thereMs: number
  readonly backMs: number
  readonly lost?: boolean
}

/** What the store has given to an isolate to spend ahead. */
interface Entry {
  left: number
  readonly until: number
}

/** Several isolates and one store that counts one key, in a time that passes only when `run` says so. */
export function makeLeasedWorld(spec: LimiterSpec, isolates: readonly { skewMs: number }[], nextCall: () => Call) {
  const count: WindowCount = { endsAt: 0, used: 0 }
  const events: { at: number; run: () => void }[] = []
  let time = 0
  let granted = 0
  const admissions: Admission[] = []
  const seen = { offered: 0, refused: 0, unanswered: 0, awaited: 0, overspent: 0 }
  const ledger: Entry[][] = isolates.map(() => [])
  /** How much of the last call is for the request that makes it. */
  let lastCall = { own: 0 }

  const at = (when: number, run: () => void) => {
    let i = events.length
    while (i > 0 && events[i - 1]!.at <= when) i--
    events.splice(i, 0, { at: when, run })
  }
  const take = (isolate: number, ask: TakeRequest) =>
    new Promise<TakeGrant | undefined>((resolve) => {
      const { thereMs, backMs, lost } = nextCall()
      const call = { own: 0 }
      lastCall = call
      at(time + thereMs, () => {
        const grant = takeFrom(count, spec, ask, Math.floor(time))
        granted += grant.granted
        ledger[isolate]!.push({ left: Math.max(0, grant.granted - call.own), until: grant.storeNow + grant.expiresMs })
        at(time + (lost ? 100 : backMs), () => resolve(lost ? undefined : grant))
      })
    })
  const clocks = isolates.map(({ skewMs }) => ({ skewMs }))
  const limiters: StoreLimiter[] = clocks.map((clock, i) =>
    makeLeasedLimiter({ take: (_, ask) => take(i, ask) }, spec, () => Math.floor(time + clock.skewMs)),
  )
  /** Takes the tokens from what may be spent: what expires first, first. */
  const book = (entries: readonly Entry[], cost: number, now: number) => {
    let rest = cost
    for (const entry of entries.filter(({ until }) => now < until).toSorted((a, b) => a.until - b.until)) {
      const part = Math.min(rest, entry.left)
      entry.left -= part
      rest -= part
    }
    seen.overspent += rest
  }
  const note = (verdict: LimitVerdict | undefined, isolate: number, cost: number, waited: boolean) => {
    if (verdict === undefined) seen.unanswered++
    else if (!verdict.allowed) seen.refused++
    else {
      const decidedAt = verdict.decidedAt!
      const now = Math.floor(time)
      if (!waited) book(ledger[isolate]!, cost, now)
      admissions.push({ at: waited ? decidedAt : now, decidedAt, cost })
    }
  }

  return {
    admissions,
    granted: () => granted,
    seen,
    clocks,
    at,
    request(isolate: number, cost = 1) {
      seen.offered++
      const answer = limiters[isolate]!.take('key', cost, () => {})
      if (!(answer instanceof Promise)) return note(answer, isolate, cost, false)
      seen.awaited++
      lastCall.own = cost
      void answer.then((verdict) => note(verdict, isolate, cost, true))
    },
    /** Lets time pass until nothing more is going to happen. */
    async run() {
      for (let event = events.pop(); event !== undefined; event = events.pop()) {
        time = event.at
        event.run()
        for (let turn = 0; turn < 6; turn++) await Promise.resolve()
      }
    },
  }
}
