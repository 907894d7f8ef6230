import { DurableObject } from 'cloudflare:workers'
import { logObjectError } from '../../telemetry/object-errors.ts'
import { OPERATIONS, type IdentityApi } from '../api.ts'
import { makeApiKeyStore } from './api-keys.ts'
import { makeOAuthClientStore } from './oauth-clients.ts'
import { makeRevocationStore } from './revocations.ts'
import { makeSessionStore } from './sessions.ts'
import { makeSigningKeyStore } from './signing-keys.ts'
import { makeAuditReader, makeAuditWriter, pruneAudit } from './audit.ts'
import { openTables, type StoreContext } from './store-context.ts'
import { makeUserStore } from './users.ts'

const PRUNE_INTERVAL_MS = 3_600_000

/** Holds users, OAuth clients, API keys, sessions, revocations, signing keys and the audit log. One object serves all regions. */
export class IdentityStore extends DurableObject {
  /** Epoch milliseconds; tests replace it. */
  now: () => number = Date.now
  #pruneAt = -Infinity
  #operations = makeIdentityOperations(this.ctx.storage.sql, () => this.now())

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    openTables(ctx.storage.sql)
    void ctx.blockConcurrencyWhile(async () => {
      this.#pruneAt = (await ctx.storage.getAlarm()) ?? -Infinity
      if (this.#isAlarmLost()) await this.#setAlarm()
    })
  }

  /**
   * Executes one operation of `IdentityApi` in a transaction. Undefined when it fails or is unknown; never throws. There is one method for all
   * operations, so that none can run without its transaction.
   */
  execute(name: keyof IdentityApi, args: readonly unknown[]): unknown {
    try {
      if (!Object.hasOwn(OPERATIONS, name)) return undefined
      if (this.#isAlarmLost())
        void this.#setAlarm().catch((error: unknown) => logObjectError('IdentityStore', 'setAlarm', error, this.env))
      const operation = this.#operations.api[name] as (...parameters: readonly unknown[]) => unknown
      return this.ctx.storage.transactionSync(() => operation(...args))
    } catch (error) {
      logObjectError('IdentityStore', name, error, this.env)
      return undefined
    }
  }

  /** Deletes expired rows. Rejects when the storage fails: the runtime calls it again. */
  override async alarm(): Promise<void> {
    try {
      this.#operations.prune()
      await this.#setAlarm()
    } catch (error) {
      logObjectError('IdentityStore', 'alarm', error, this.env)
      throw error
    }
  }

  /** Whether the alarm is long overdue, or was never set: the runtime gives an alarm up after some failures. */
  #isAlarmLost(): boolean {
    return this.now() >= this.#pruneAt + PRUNE_INTERVAL_MS
  }

  #setAlarm(): Promise<void> {
    this.#pruneAt = this.now() + PRUNE_INTERVAL_MS
    return this.ctx.storage.setAlarm(this.#pruneAt)
  }
}

/** The operations of the store; `prune` deletes expired rows. */
interface IdentityOperations {
  readonly api: IdentityApi
  readonly prune: () => void
}

/** Makes the operations on the tables of `openTables`; `now` in epoch milliseconds. Opens no transaction: the object does that. */
function makeIdentityOperations(sql: SqlStorage, now: () => number): IdentityOperations {
  const context: StoreContext = { sql, now, audit: makeAuditWriter(sql, now) }
  const revocations = makeRevocationStore(context)
  const sessions = makeSessionStore(context, revocations)
  const apiKeys = makeApiKeyStore(context, revocations)
  const api: IdentityApi = {
    ...makeUserStore(context, { sessions, apiKeys, revocations }),
    ...makeOAuthClientStore(context, { sessions, revocations }),
    ...makeSigningKeyStore(context),
    ...makeAuditReader(context),
    ...apiKeys,
    ...sessions,
    ...revocations,
  }
  const parts = [revocations, sessions, apiKeys]
  const prune = () => {
    for (const part of parts) part.prune()
    pruneAudit(sql, now())
  }
  return { api, prune }
}
