import { withTimeout } from '../lib/time.ts'
import type { IdentityStore } from './store/identity-store.ts'
import type { IdentityApi, IdentityClient } from './types.ts'

/** The name of the one object that knows all identities. */
export const IDENTITY_OBJECT = 'identity'

const TIMEOUT_MS = 1_000

/** What can be asked from outside. */
export const CALLS = {
  createUser: true,
  createFirstUser: true,
  getUser: true,
  listUsers: true,
  updateUser: true,
  removeUser: true,
  userCredentials: true,
  createClient: true,
  getClient: true,
  listClients: true,
  updateClient: true,
  removeClient: true,
  clientCredentials: true,
  createApiKey: true,
  findApiKey: true,
  listApiKeys: true,
  revokeApiKey: true,
  startFamily: true,
  rotateRefresh: true,
  findRefresh: true,
  revokeRefresh: true,
  listFamilies: true,
  revokeFamily: true,
  revoke: true,
  revocationsSince: true,
  listRevocations: true,
  signingKeys: true,
  replaceSigningKeys: true,
  recordAct: true,
  auditLog: true,
} as const satisfies Readonly<Record<keyof IdentityApi, true>>

/** The object's method as it is over RPC, whose types cannot follow one that answers for many. */
interface Asked {
  readonly ask: (name: string, args: readonly unknown[]) => Promise<unknown>
}

/** The identity store for Workers. No call rejects: one that fails, or takes longer than `timeoutMs`, answers `unavailable`, and may have happened. */
export function makeIdentityClient(
  namespace: DurableObjectNamespace<IdentityStore>,
  timeoutMs = TIMEOUT_MS,
): IdentityClient {
  const call =
    (name: string) =>
    async (...args: readonly unknown[]) => {
      const answer = await withTimeout(timeoutMs, async () =>
        (namespace.getByName(IDENTITY_OBJECT) as unknown as Asked).ask(name, args),
      )
      return answer ?? 'unavailable'
    }
  return Object.fromEntries(Object.keys(CALLS).map((name) => [name, call(name)])) as unknown as IdentityClient
}
