import { DurableObject } from 'cloudflare:workers'
import { CALLS } from '../client.ts'
import { makeCalls } from './calls.ts'
import { openTables } from './store.ts'
import type { IdentityApi } from '../types.ts'

const PRUNE_INTERVAL_MS = 3_600_000

/** Keeps users, clients, API keys, refresh families, revocations, signing keys and the audit log: one object for the world. */
export class IdentityStore extends DurableObject {
  /** Epoch milliseconds; tests replace it. */
  now: () => number = Date.now
  #calls = makeCalls(this.ctx.storage.sql, () => this.now())

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    openTables(ctx.storage.sql)
    void ctx.blockConcurrencyWhile(async () => {
      if ((await ctx.storage.getAlarm()) === null) await ctx.storage.setAlarm(this.now() + PRUNE_INTERVAL_MS)
    })
  }

  /**
   * One call of the API, all of it or nothing: `IdentityClient` says what it takes and answers. Undefined when it cannot be done; it never
   * throws. One method and no list of them, so that none can forget its transaction.
   */
  ask(name: keyof IdentityApi, args: readonly unknown[]): unknown {
    try {
      if (!Object.hasOwn(CALLS, name)) return undefined
      const call = this.#calls.api[name] as (...given: readonly unknown[]) => unknown
      return this.ctx.storage.transactionSync(() => call(...args))
    } catch {
      return undefined
    }
  }

  /** Forgets what has ended. */
  override async alarm(): Promise<void> {
    this.#calls.prune()
    await this.ctx.storage.setAlarm(this.now() + PRUNE_INTERVAL_MS)
  }
}
