import * as z from 'zod/mini'
import { cidr, doc } from '../config/schema/scalars.ts'
import { definePolicy } from '../core/policy.ts'
import { problem } from '../core/problem.ts'
import { isInAny, parseCidr, parseIp, type Cidr } from '../lib/ip.ts'

/** The policy `ip`: allows or denies by the client's address, as `clientAddress` finds it. */
export const ip = definePolicy({
  name: 'ip',
  config: z.strictObject({
    allow: doc(
      z.prefault(z.array(cidr), []),
      'Networks whose clients are admitted; a client with an unknown address is refused. Default [], which is all.',
    ),
    deny: doc(
      z.prefault(z.array(cidr), []),
      'Networks whose clients are refused, even if `allow` holds them; so is a client with an unknown address. Default [].',
    ),
  }),
  facts: ({ allow }) => ({ allowedNetworks: allow.map((text) => ({ path: ['allow'], text })) }),
  check: ({ allow, deny }) =>
    allow.length + deny.length === 0 ? [{ path: [], message: 'expected entries in "allow" or "deny"' }] : [],
  compile: (config) => {
    const allow = parseNetworks(config.allow)
    const deny = parseNetworks(config.deny)
    return (next) => (x) => {
      const address = parseIp(x.client.ip)
      // A client with an unknown address is refused by either list.
      const isAllowed =
        address === undefined
          ? allow.length + deny.length === 0
          : !isInAny(address, deny) && (allow.length === 0 || isInAny(address, allow))
      return isAllowed ? next(x) : Promise.resolve(problem('ip-refused'))
    }
  },
})

function parseNetworks(networks: readonly string[]): Cidr[] {
  return networks.map((text) => parseCidr(text)!)
}
