import * as z from 'zod/mini'
import { expectedOneOf, type Diagnostic } from '../config/schema/diagnostic.ts'
import { doc, headerName, percent } from '../config/schema/scalars.ts'
import type { Exchange } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import { definePolicy, type RouteFacts, type RouteParts } from '../core/policy.ts'
import { compileRequestAttribute, parseRequestAttribute, stickyKey } from '../core/request-attribute.ts'
import { hash32 } from '../lib/hash.ts'

const entry = z.strictObject({
  upstream: doc(z.string(), 'The upstream that responds instead of the route’s own. Required.'),
  percent: doc(percent, 'Its share of the route’s requests, from 0 to 100. Required.'),
  stickyOn: z.optional(
    doc(
      stickyKey,
      'client.ip, jwt.<claim> or header:<name>: requests with the same value get the same upstream. Requests that lack it stay with the route’s own upstream. The same in all entries. Default: random per request.',
    ),
  ),
  overrideHeader: z.optional(
    doc(
      headerName,
      'A request header that takes precedence over the share: `always` or the upstream’s name for it, `never` against it, the name of the route’s own upstream for that. Any other value is ignored. Default none.',
    ),
  ),
})
type Entry = z.output<typeof entry>

/** The policy `split`: sends a share of a route's requests to other upstreams. */
export const split = definePolicy({
  name: 'split',
  config: doc(
    z.array(entry).check(z.minLength(1, 'expected at least one upstream to split to')),
    'Sends a share of the requests to other upstreams, such as a new version (canary). The rest goes to the route’s own.',
  ),
  facts: (entries) => ({
    respondingUpstreams: entries.map(({ upstream }) => upstream),
    selectsBy: entries.flatMap(({ stickyOn, overrideHeader }, i) => [
      ...(stickyOn === undefined ? [] : [{ path: [i, 'stickyOn'], text: stickyOn }]),
      ...(overrideHeader === undefined ? [] : [{ path: [i, 'overrideHeader'], text: `header:${overrideHeader}` }]),
    ]),
    needsUpstream: [[]],
  }),
  check: (config, route) => [...config.flatMap((one, i) => checkEntry(one, i, config, route)), ...checkSum(config)],

  compile(config, platform, route) {
    // A route without an upstream may inherit the policy; it has nothing to split.
    if (route.upstream === undefined) return (next) => next
    const shares = assignRanges(config, route)
    const draw = compileDraw(config[0]?.stickyOn, route.id, platform.random)
    return (next) => {
      const overrides = compileOverrides(shares, route.upstream!, next)
      return (x) => {
        for (const [header, handlers] of overrides) {
          const value = x.headers[header]
          const chosen = value === undefined ? undefined : handlers.get(value)
          if (chosen !== undefined) return chosen(x)
        }
        const point = draw(x)
        const share = point === undefined ? undefined : shares.find(({ from, to }) => from <= point && point < to)
        return share === undefined || isDeclined(x, share) ? next(x) : share.send(x)
      }
    }
  },
})

/** One entry's range within 0 to 100, `to` excluded. */
interface Share {
  readonly upstream: string
  readonly from: number
  readonly to: number
  readonly header: string | undefined
  readonly send: Handler
}

/**
 * Assigns the ranges from both ends in turn, the first from 0 upwards and the second from 100 downwards. A larger percentage only adds
 * callers, and neither of two entries takes callers from the other.
 */
function assignRanges(config: readonly Entry[], route: RouteParts): Share[] {
  let low = 0
  let high = 100
  return config.map(({ upstream, percent: size, overrideHeader: header }, i) => {
    const send = route.sendTo(upstream)
    return i % 2 === 0
      ? { upstream, from: low, to: (low += size), header, send }
      : { upstream, to: high, from: (high -= size), header, send }
  })
}

/**
 * Compiles a request's point in [0, 100): random, or with `stickyOn` a hash of that attribute, salted with the route's id so that the same
 * callers are not first on every route. Undefined for a request without the attribute: one hash would move all of them at once.
 */
function compileDraw(
  stickyOn: string | undefined,
  id: string,
  random: () => number,
): (x: Exchange) => number | undefined {
  if (stickyOn === undefined) return () => random() * 100
  const read = compileRequestAttribute(parseRequestAttribute(stickyOn)!)
  const seed = hash32(id)
  return (x) => {
    const value = read(x)
    return value ? (hash32(value, seed) / 2 ** 32) * 100 : undefined
  }
}

/** The handler for each value of each override header, in the order of the entries. Where several share a header, `always` means the first. */
function compileOverrides(shares: readonly Share[], own: string, next: Handler): Map<string, Map<string, Handler>> {
  const overrides = new Map<string, Map<string, Handler>>()
  for (const { upstream, header, send } of shares) {
    if (header === undefined) continue
    const handlers = overrides.get(header) ?? new Map([['always', send]])
    overrides.set(header, handlers.set(own, next).set(upstream, send))
  }
  return overrides
}

function isDeclined(x: Exchange, { header }: Share): boolean {
  return header !== undefined && x.headers[header] === 'never'
}

function checkEntry(one: Entry, i: number, all: readonly Entry[], route: RouteFacts): Diagnostic[] {
  const { upstream, stickyOn } = one
  const found: Diagnostic[] = []
  const report = (key: keyof Entry, message: string) => found.push({ path: [i, key], message })
  if (!route.upstreams.includes(upstream))
    report('upstream', `no upstream "${upstream}"; ${expectedOneOf(upstream, route.upstreams)}`)
  if (upstream === route.upstream)
    report('upstream', `"${upstream}" is the route’s own upstream, which gets what the shares leave`)
  if (all.findIndex((other) => other.upstream === upstream) < i)
    report('upstream', `another entry of this split has the upstream "${upstream}" already`)
  if (stickyOn !== all[0]!.stickyOn)
    report('stickyOn', `expected the same in all entries of a split; ${describeFirst(all[0]!)}`)
  if (stickyOn?.startsWith('jwt.') && route.upstream !== undefined && !route.hasAuth)
    report('stickyOn', `${stickyOn} needs the policy "auth" on this route`)
  return found
}

const describeFirst = ({ stickyOn }: Entry) =>
  stickyOn === undefined ? 'the first has none' : `the first has "${stickyOn}"`

function checkSum(config: readonly Entry[]): Diagnostic[] {
  const sum = config.reduce((total, { percent: size }) => total + size, 0)
  // Tenths have no exact binary form: 33.3 + 33.3 + 33.4 may be a little more than 100.
  return sum > 100 + 1e-9 ? [{ path: [], message: `expected percentages of at most 100 together, found ${sum}` }] : []
}
