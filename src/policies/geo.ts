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

/** What the platform says when it does not know. */
const NO_COUNTRY = 'XX'

/** Lets in or turns away by the country and the autonomous system that the platform finds for the client's address. */
export const geo = definePolicy({
  name: 'geo',
  config: z.strictObject({
    allow: doc(
      z.prefault(places, []),
      'From where one may call: countries ("DE", "T1" for Tor) and networks ("AS64496"), any of them. Default [], which is everywhere.',
    ),
    deny: doc(z.prefault(places, []), 'From where one may not, even where `allow` says so. Default [].'),
    onUnknown: z.optional(
      doc(
        choice(['allow', 'deny']),
        'For a client of whom the platform does not say what the lists ask: its country, its network. Default: deny where `allow` names anything, else allow.',
      ),
    ),
  }),
  check: ({ allow, deny }) =>
    allow.length + deny.length === 0 ? [{ path: [], message: 'expected somewhere to "allow" or to "deny"' }] : [],
  compile: ({ allow, deny, onUnknown = allow.length > 0 ? 'deny' : 'allow' }) => {
    const [allowed, denied] = [new Set(allow), new Set(deny)]
    const named = [...allow, ...deny]
    const asksNetwork = named.some((name) => name.startsWith('AS') && name.length > 2)
    const asksCountry = named.some((name) => name.length === 2)
    const admits = (x: Exchange): boolean => {
      const country = x.client.country === NO_COUNTRY ? undefined : x.client.country
      const network = networkOf(x)
      const found = [country, network].filter((name) => name !== undefined)
      if (found.some((name) => denied.has(name))) return false
      if ((asksCountry && country === undefined) || (asksNetwork && network === undefined)) return onUnknown === 'allow'
      return allowed.size === 0 || found.some((name) => allowed.has(name))
    }
    return (next) => (x) => (admits(x) ? next(x) : Promise.resolve(problem('geo-refused')))
  },
})

function networkOf(x: Exchange): string | undefined {
  // The platform knows the connection: behind a proxy that is the proxy's network and not the client's.
  if (x.client.forwardedFor !== x.client.ip) return undefined
  const asn: unknown = x.request.cf?.asn
  return typeof asn === 'number' ? `AS${asn}` : undefined
}
