import { DurableObject } from 'cloudflare:workers'
import { openTables, type Ground, makeAudit, makeAuditLog } from './store.ts'
import { makeApiKeys } from './api-keys.ts'
import { makeClients } from './oauth-clients.ts'
import { makeFamilies } from './sessions.ts'
import { makeRevocations } from './revocations.ts'
import { makeSigningKeys } from './signing-keys.ts'
import { makeUsers } from './users.ts'
import { type IdentityApi, CALLS } from '../api.ts'

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

/** All that the store can be asked, and how it forgets what has ended. */
export interface Calls {
  readonly api: IdentityApi
  readonly prune: () => void
}

/** On tables that `openTables` has made; `now` in epoch milliseconds. Opens no transaction: the object does that around each call. */
export function makeCalls(sql: SqlStorage, now: () => number): Calls {
  const ground: Ground = { sql, now, audit: makeAudit(sql, now) }
  const revocations = makeRevocations(ground)
  const families = makeFamilies(ground, revocations)
  const apiKeys = makeApiKeys(ground, revocations)
  const api: IdentityApi = {
    ...makeUsers(ground, { families, apiKeys, revocations }),
    ...makeClients(ground, families),
    ...makeSigningKeys(ground),
    ...makeAuditLog(ground),
    ...apiKeys,
    ...families,
    ...revocations,
  }
  const parts = [revocations, families, apiKeys]
  return { api, prune: () => parts.forEach((part) => part.prune()) }
}
