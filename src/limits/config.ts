import * as z from 'zod/mini'
import { expectedOneOf, type Diagnostic } from '../config/schema/diagnostic.ts'
import { choice, doc, duration } from '../config/schema/scalars.ts'
import type { RouteFacts } from '../core/policy.ts'
import {
  isClaimPath,
  parseRequestAttribute,
  REQUEST_ATTRIBUTES,
  type RequestAttribute,
} from '../core/request-attribute.ts'
import { cost, MAX_LIMIT, maxCostOf } from './cost.ts'
import { limitNumber } from './limit-number.ts'
import { covers, override } from './overrides.ts'

const keyPart = z.pipe(
  z.string().check(
    z.refine((text) => parseRequestAttribute(text) !== undefined, {
      error: ({ input }) => expectedOneOf(String(input), REQUEST_ATTRIBUTES),
      abort: true,
    }),
    z.refine((text) => !text.startsWith('jwt.') || isClaimPath(text.slice('jwt.'.length)), {
      error: 'expected a claim’s name after "jwt.", or names with a dot between, such as "jwt.org.id"',
    }),
  ),
  z.transform((text: string) => parseRequestAttribute(text)!),
)

/** A check that refuses a key in which one attribute stands twice: it would count nothing more. Header names are compared in lower case. */
function distinctParts() {
  return z.check<RequestAttribute[]>(({ value, issues }) => {
    const texts = value.map((part) => JSON.stringify(part))
    texts.forEach((text, i) => {
      const first = texts.indexOf(text)
      if (first < i) issues.push({ code: 'custom', input: value, path: [i], message: `is the same as key[${first}]` })
    })
  })
}

const written = z
  .strictObject({
    name: doc(
      z.string().check(z.regex(/^[\w.-]{1,64}$/, 'expected a name of letters, digits, "-", "_" and "."')),
      'The name in the RateLimit fields and in refusals. Limiters of one name share one count, in all routes.',
    ),
    algorithm: doc(
      choice(['fixed-window', 'sliding-window', 'token-bucket']),
      'fixed-window: windows start at multiples of their length, and each admits `limit`. sliding-window: each stretch as long as `window` admits `limit`, wherever it begins. token-bucket: a bucket of `burst`, into which `limit` come back in each window, evenly.',
    ),
    limit: doc(
      limitNumber(({ limit, window }) => `the period is in "window": write "limit": ${limit}, "window": "${window}"`),
      'How many requests a window admits; for a bucket, how many tokens return in one window.',
    ),
    window: doc(duration(1_000), 'How long a window is: whole seconds, from 1s to 31d.'),
    key: doc(
      z
        .array(keyPart)
        .check(z.minLength(1, `expected at least one of ${REQUEST_ATTRIBUTES.join(', ')}`), distinctParts()),
      'What requests are counted by: client.ip, jwt.<claim> (jwt.sub is issuer and subject), apiKey.id, header:<name>, param:<name>, route, const:<text>; several together. IPv6 counts by /64. Requests that lack a part share one count.',
    ),
    consistency: doc(
      z.prefault(choice(['strict', 'leased', 'local']), 'strict'),
      'strict: one count for all isolates, for one awaited call to the store. leased: one count too, of which an isolate takes some ahead and then waits for nothing. local: each isolate counts for itself and waits for nothing. Default strict.',
    ),
    onStoreError: z.optional(
      doc(
        choice(['allow', 'deny', 'local']),
        'While the store of a strict or leased limiter does not respond: allow admits all requests, deny responds with 503, local counts in each isolate. Default local.',
      ),
    ),
    before: z.optional(
      doc(
        choice(['auth']),
        'auth: counts before authentication, and so protects it too; the key cannot contain an identity then. Default: counts the requests that `auth` admitted.',
      ),
    ),
    burst: z.optional(
      doc(
        z.int().check(z.gte(1), z.lte(MAX_LIMIT)),
        'The capacity of a token bucket: how many requests it admits at once. Default: the same as `limit`.',
      ),
    ),
    cost: doc(
      z.prefault(cost, 1),
      'How many tokens a request takes: a number, 0 to take none and only report what is left; or the number in a header, up to `max`. Routes that share a count may have different costs. Default 1.',
    ),
    mode: doc(
      z.prefault(choice(['enforce', 'shadow']), 'enforce'),
      'shadow: counts, and counts what it would refuse, but refuses nothing, delays nothing and is not in the RateLimit fields. Default enforce.',
    ),
    overrides: doc(
      z.prefault(z.array(override), []),
      'Other limits for some callers: the first entry whose `when` matches. Each has a count of its own. Default none.',
    ),
  })
  .check(({ value, issues }) => {
    if (value.consistency === 'local' && value.onStoreError !== undefined)
      issues.push({
        code: 'custom',
        input: value,
        path: ['onStoreError'],
        message: 'has no use with the consistency "local", which asks no store; expected "strict" or "leased"',
      })
  })

/** One entry of `rateLimit`. */
export const limiter = z.pipe(
  written,
  z.transform(({ onStoreError = 'local' as const, ...rest }: z.output<typeof written>) => ({ ...rest, onStoreError })),
)

/** A checked limiter: durations in milliseconds, defaults filled in. */
export type LimiterConfig = z.output<typeof limiter>

/** An empty bucket fills within this time: a row is kept, and a date computed, for as long. */
const MAX_FILL_MS = 366 * 86_400_000

/** The checks of a limiter beyond its schema; paths begin at the limiter. */
export function checkLimiter(entry: LimiterConfig, earlier: readonly LimiterConfig[], route: RouteFacts): Diagnostic[] {
  const found: Diagnostic[] = []
  if (earlier.some(({ name }) => name === entry.name))
    found.push({ path: ['name'], message: `another limiter of this route has the name "${entry.name}" already` })
  if (entry.window % 1_000 !== 0)
    found.push({ path: ['window'], message: 'expected whole seconds: RateLimit-Policy has no fractions' })
  return [
    ...found,
    ...checkBurst(entry, entry),
    ...checkKey(entry, route),
    ...checkCost(entry),
    ...checkOverrides(entry, route),
  ]
}

function checkKey({ key, before }: LimiterConfig, route: RouteFacts): Diagnostic[] {
  const found: Diagnostic[] = key.flatMap((part, j) => {
    const message = wrongWith(part, before, route)
    return message === undefined ? [] : [{ path: ['key', j], message }]
  })
  const kinds = key.map((part) => part.kind)
  if (kinds.includes('header') && !kinds.some((kind) => kind === 'ip' || kind === 'jwt' || kind === 'apiKey'))
    found.push({
      path: ['key'],
      message: 'the client chooses its headers: expected "client.ip" or "jwt.sub" beside them',
    })
  return found
}

function wrongWith(part: RequestAttribute, before: LimiterConfig['before'], route: RouteFacts): string | undefined {
  if (part.kind === 'jwt') return wrongWithCaller(`jwt.${part.name}`, before, route)
  if (part.kind === 'apiKey') return wrongWithCaller('apiKey.id', before, route)
  if (part.kind === 'param' && !route.params.includes(part.name))
    return `no parameter "${part.name}" in match.path; ${expectedOneOf(part.name, route.params)}`
  return undefined
}

function wrongWithCaller(name: string, before: LimiterConfig['before'], route: RouteFacts): string | undefined {
  if (before === 'auth') return `${name} is not known before "auth"; expected "client.ip"`
  if (!route.hasAuth) return `${name} needs the policy "auth" on this route`
  if (name.startsWith('apiKey.') && !Object.values(route.authProviders).some(({ type }) => type === 'apiKey'))
    return `${name} needs an auth provider of type "apiKey"`
  return undefined
}

/** A request whose cost exceeds the limit would always be refused. */
function checkCost({ algorithm, limit, burst, overrides, cost }: LimiterConfig): Diagnostic[] {
  const capacity = (of: { limit: number; burst?: number | undefined }) =>
    algorithm === 'token-bucket' ? (of.burst ?? of.limit) : of.limit
  const least = Math.min(...[{ limit, burst }, ...overrides].map(capacity))
  if (maxCostOf(cost) <= least) return []
  const path = typeof cost === 'number' ? ['cost'] : ['cost', 'max']
  return [{ path, message: `expected at most ${least}: no more than that can be taken at once` }]
}

function checkOverrides(entry: LimiterConfig, route: RouteFacts): Diagnostic[] {
  return entry.overrides.flatMap((override, j) => {
    const at = ['overrides', j]
    const found: Diagnostic[] = Object.keys(override.when).flatMap((name) => {
      const message = wrongWithCaller(name, entry.before, route)
      return message === undefined ? [] : [{ path: [...at, 'when', name], message }]
    })
    const wider = entry.overrides.findIndex(({ when }, i) => i < j && covers(when, override.when))
    if (wider >= 0)
      found.push({ path: [...at, 'when'], message: `never comes to bear: overrides[${wider}] holds for all of these` })
    return [...found, ...checkBurst(entry, override).map(({ path, message }) => ({ path: [...at, ...path], message }))]
  })
}

function checkBurst(
  { algorithm, window }: LimiterConfig,
  { limit, burst }: { limit: number; burst?: number | undefined },
): Diagnostic[] {
  const found: Diagnostic[] = []
  if (burst !== undefined && algorithm !== 'token-bucket')
    found.push({ path: ['burst'], message: `has no use with the algorithm "${algorithm}"; expected "token-bucket"` })
  if (((burst ?? 0) * window) / limit > MAX_FILL_MS)
    found.push({
      path: ['burst'],
      message: 'expected a bucket that is full again after at most a year: more limit, or less burst',
    })
  return found
}
