import { DurableObject } from 'cloudflare:workers'
import { openTables, type StoreContext, makeAuditWriter, makeAuditReader } from './store-context.ts'
import { makeApiKeyStore } from './api-keys.ts'
import { makeOAuthClientStore } from './oauth-clients.ts'
import { makeSessionStore } from './sessions.ts'
import { makeRevocationStore } from './revocations.ts'
import { makeSigningKeyStore } from './signing-keys.ts'
import { makeUserStore } from './users.ts'
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
  const ground: StoreContext = { sql, now, audit: makeAuditWriter(sql, now) }
  const revocations = makeRevocationStore(ground)
  const families = makeSessionStore(ground, revocations)
  const apiKeys = makeApiKeyStore(ground, revocations)
  const api: IdentityApi = {
    ...makeUserStore(ground, { families, apiKeys, revocations }),
    ...makeOAuthClientStore(ground, families),
    ...makeSigningKeyStore(ground),
    ...makeAuditReader(ground),
    ...apiKeys,
    ...families,
    ...revocations,
  }
  const parts = [revocations, families, apiKeys]
  return { api, prune: () => parts.forEach((part) => part.prune()) }
}
