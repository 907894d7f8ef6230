import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import type { IdentityApi } from '../../../src/identity/api.ts'
import type { Actor, NewUser } from '../../../src/identity/types.ts'

/** An operator. */
export const BY: Actor = {
  provider: 'gateway',
  issuer: 'https://gw/',
  subject: 'root',
  client: '192.0.2.1',
  request: 'r1',
}

/** A text of the form of a password's hash; no password has it. */
export const HASH = `$scrypt$ln=14,r=8,p=1$${'B'.repeat(22)}$${'B'.repeat(43)}`

/** A user as the store takes one. */
export const user = (username: string, parts: Partial<NewUser> = {}): NewUser => ({
  username,
  passwordHash: HASH,
  ...parts,
})

/** A new store, whose name begins with `name`: files share a workerd. `ask` goes over RPC. */
export function makeStore(name: string) {
  const stub = env.IDENTITY.getByName(`${name}-${crypto.randomUUID()}`)
  const object = stub as unknown as { execute: (call: string, args: readonly unknown[]) => Promise<unknown> }
  return {
    stub,
    ask: <Name extends keyof IdentityApi>(call: Name, ...args: Parameters<IdentityApi[Name]>) =>
      object.execute(call, args) as Promise<ReturnType<IdentityApi[Name]>>,
    /** Runs inside the object, without RPC, for thousands of calls; `clock.at` is its time. */
    inside: (work: (ask: Inside, clock: { at: number }) => void) =>
      runInDurableObject(stub, (instance) => {
        const clock = { at: 1_000_000 }
        instance.now = () => clock.at
        work((call, ...args) => instance.execute(call, args) as never, clock)
      }),
    rows: (table: string) =>
      runInDurableObject(stub, (_, { storage }) => storage.sql.exec(`SELECT * FROM ${table}`).toArray()),
  }
}

/** The operations without RPC. */
export type Inside = <Name extends keyof IdentityApi>(
  call: Name,
  ...args: Parameters<IdentityApi[Name]>
) => ReturnType<IdentityApi[Name]>

/** The result, which must not be a refusal. */
export function made<T>(answer: T): Exclude<T, string> {
  if (typeof answer === 'string') throw new Error(`refused: ${answer}`)
  return answer as Exclude<T, string>
}
