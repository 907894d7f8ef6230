import * as z from 'zod/mini'
import type { IdentityClient } from '../../identity/types.ts'
import { readChange } from './change.ts'
import { type Endpoint, actorOf, settled } from './endpoint.ts'
const order = z.strictObject({ replace: z.literal(true) })

/** For a signing key that leaked. Keys rotate by themselves: nothing else is to be done with them. */
export function makeSigningKeys(identity: IdentityClient): Endpoint[] {
  return [
    {
      path: 'signing-keys',
      on: {
        POST: async ({ x }) => {
          const read = await readChange(x, order)
          if (read instanceof Response) return read
          const done = settled(await identity.replaceSigningKeys(actorOf(x)), 'key')
          return done instanceof Response ? done : { replaced: true }
        },
      },
    },
  ]
}
