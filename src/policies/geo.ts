import * as z from 'zod/mini'
import { choice, distinct, doc, expected } from '../config/schema/scalars.ts'
import type { Exchange } from '../core/exchange.ts'
import { definePolicy } from '../core/policy.ts'
import { problem } from '../core/problem.ts'

const place = z
  .string()
  .check(
    z.regex(
      /^(?:[A-Z]{2}|T1|AS(?:0|[1-9]\d{0,9}))$/,
      expected('expected a country such as "DE" (ISO 3166-1), "T1" for Tor, or a network such as "AS64496"'),
    ),
  )
const places = z.array(place).check(distinct())

/** The platform's code for an unknown country. */
const NO_COUNTRY = 'XX'

/** The policy `geo`: allows or denies by the country and the autonomous system that the platform finds for the client's address. */
export const geo = definePolicy({
  name: 'geo',
  config: z.strictObject({
    allow: doc(
      z.prefault(places, []),
      'Countries ("DE", "T1" for Tor) and networks ("AS64496") whose clients are admitted. Default [], which is all.',
    ),
    deny: doc(
      z.prefault(places, []),
      'Countries and networks whose clients are refused, even if `allow` names them. Default [].',
    ),
    onUnknown: z.optional(
      doc(
        choice(['allow', 'deny']),
        'For a client whose country or network is unknown, if the lists name any. Default: deny if `allow` is not empty, else allow.',
      ),
    ),
  }),
  check: ({ allow, deny }) =>
    allow.length + deny.length === 0 ? [{ path: [], message: 'expected entries in "allow" or "deny"' }] : [],
  compile: ({ allow, deny, onUnknown = allow.length > 0 ? 'deny' : 'allow' }) => {
    const [allowed, denied] = [new Set(allow), new Set(deny)]
    const listed = [...allow, ...deny]
    const needsNetwork = listed.some((name) => name.startsWith('AS') && name.length > 2)
    const needsCountry = listed.some((name) => name.length === 2)
    const admits = (x: Exchange): boolean => {
      const country = x.client.country === NO_COUNTRY ? undefined : x.client.country
      const network = networkOf(x)
      const found = [country, network].filter((name) => name !== undefined)
      if (found.some((name) => denied.has(name))) return false
      if ((needsCountry && country === undefined) || (needsNetwork && network === undefined))
        return onUnknown === 'allow'
      return allowed.size === 0 || found.some((name) => allowed.has(name))
    }
    return (next) => (x) => (admits(x) ? next(x) : Promise.resolve(problem('geo-refused')))
  },
})

/** The autonomous system of the client, such as `AS64496`; undefined where it is unknown. */
function networkOf(x: Exchange): string | undefined {
  // The platform reports the network of the connection: behind a proxy that is the proxy's and not the client's.
  if (x.client.forwardedFor !== x.client.ip) return undefined
  const asn: unknown = x.request.cf?.asn
  return typeof asn === 'number' ? `AS${asn}` : undefined
}
