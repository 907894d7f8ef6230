import * as z from 'zod/mini'
import { cidr, doc } from '../config/schema/scalars.ts'
import { definePolicy } from '../core/policy.ts'
import { problem } from '../core/problem.ts'
import { isInAny, parseCidr, parseIp, type Cidr } from '../lib/ip.ts'

/** Lets in or turns away by the client's address, as `clientAddress` finds it. */
export const ip = definePolicy({
  name: 'ip',
  config: z.strictObject({
    allow: doc(
      z.prefault(z.array(cidr), []),
      'Who may call; a client whose address is unknown may not. Default [], which is everyone.',
    ),
    deny: doc(
      z.prefault(z.array(cidr), []),
      'Who may not, even where `allow` says so; a client whose address is unknown may not either. Default [].',
    ),
  }),
  facts: ({ allow }) => ({ allowedNetworks: allow.map((text) => ({ path: ['allow'], text })) }),
  check: ({ allow, deny }) =>
    allow.length + deny.length === 0 ? [{ path: [], message: 'expected someone to "allow" or to "deny"' }] : [],
  compile: (config) => {
    const allow = parsed(config.allow)
    const deny = parsed(config.deny)
    return (next) => (x) => {
      const address = parseIp(x.client.ip)
      // Whoever cannot be found in the lists is refused by each of them.
      const isAllowed =
        address === undefined
          ? allow.length + deny.length === 0
          : !isInAny(address, deny) && (allow.length === 0 || isInAny(address, allow))
      return isAllowed ? next(x) : Promise.resolve(problem('ip-refused'))
    }
  },
})

function parsed(networks: readonly string[]): Cidr[] {
  return networks.map((text) => parseCidr(text)!)
}
