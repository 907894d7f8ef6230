import * as z from 'zod/mini'
import { type Complaint, expectedOneOf } from '../config/complaint.ts'
import { choice, doc, duration, notYet } from '../config/scalars.ts'
import { KEY_PARTS, parseKeyPart } from '../key-part.ts'
import { compileGates, type FieldOp, type Gate } from '../limits/gates.ts'
import { compileKey } from '../limits/key.ts'
import { type LimitStores, limitStores } from '../limits/stores.ts'
import { type Middleware, pass } from '../pipeline.ts'
import { definePolicy, type RouteFacts, type Site } from '../policy.ts'

const keyPart = z.pipe(
  z.string().check(
    z.refine((text) => parseKeyPart(text) !== undefined, {
      error: ({ input }) => expectedOneOf(String(input), KEY_PARTS),
    }),
  ),
  z.transform((text: string) => parseKeyPart(text)!),
)

/** Structured fields (RFC 9651) carry the limit as an integer of at most 15 digits, and so does Lua. */
const MAX_LIMIT = 1_000_000_000

const limiter = z.strictObject({
  name: doc(
    z.string().check(z.regex(/^[\w.-]{1,64}$/, 'expected a name of letters, digits, "-", "_" and "."')),
    'Appears in the RateLimit fields and in refusals. A name is one count, in whatever routes it stands.',
  ),
  algorithm: doc(
    choice(['fixed-window', 'token-bucket'], ['sliding-window']),
    'fixed-window: windows start at multiples of their length, and each admits `limit`. token-bucket: a bucket of `burst`, into which `limit` come back in each window, evenly.',
  ),
  limit: doc(
    z.int().check(z.gte(1), z.lte(MAX_LIMIT)),
    'How many requests a window admits, or come back into a bucket in one.',
  ),
  window: doc(duration(1_000), 'How long a window is: whole seconds, from 1s to 31d.'),
  key: doc(
    z.array(keyPart).check(z.minLength(1, `expected at least one of ${KEY_PARTS.join(', ')}`)),
    'Whom a count belongs to: client.ip, jwt.<claim> (jwt.sub is issuer and subject), apiKey.id, header:<name>, param:<name>, route, const:<text>; several together. IPv6 counts by /64. Requests that lack a part share one count.',
  ),
  consistency: doc(
    z.prefault(choice(['strict', 'local'], ['leased']), 'strict'),
    'strict: one count for all isolates, for one awaited call to the store. local: each isolate counts for itself and waits for nothing. Default strict.',
  ),
  onStoreError: doc(
    z.prefault(choice(['allow', 'deny', 'local']), 'local'),
    'While the store of a strict limiter does not answer: allow lets everything through, deny answers 503, local counts in each isolate. Default local.',
  ),
  before: z.optional(
    doc(
      choice(['auth']),
      'auth: counts before anybody is authenticated, and so shields that too; the key has no identity then. Default: counts those whom `auth` has let in.',
    ),
  ),
  burst: z.optional(
    doc(
      z.int().check(z.gte(1), z.lte(MAX_LIMIT)),
      'How many a token bucket holds, and so admits at once. Default: as many as `limit`.',
    ),
  ),
  cost: notYet(),
  mode: notYet(),
})

type LimiterConfig = z.output<typeof limiter>

/** A row is kept, and a date computed, for as long as an empty bucket takes to fill. */
const MAX_FILL_MS = 366 * 86_400_000

const fillMs = ({ limit, window, burst = 0 }: LimiterConfig) => (burst * window) / limit

const config = doc(
  z.array(limiter).check(z.minLength(1, 'expected at least one limiter')),
  'How often a route may be called. Limiters are asked in the order written, those before `auth` first; the first that refuses answers.',
)

/** Counts requests by key and refuses those above the limit with 429; all limiters of a route must pass, in the order written. */
export const rateLimit = definePolicy({
  name: 'rateLimit',
  config,
  check: (limiters, route) => limiters.flatMap((entry, i) => checkLimiter(entry, i, limiters, route)),
  compile: (limiters, site) =>
    compileLayer(
      limiters.filter(({ before }) => before === undefined),
      'set',
      site,
    ),
})

/** The limiters with `before: "auth"`, which are a layer of their own: they shield what `auth` costs, and what a login does. */
export const rateLimitBeforeAuth = definePolicy({
  name: 'rateLimit',
  span: 'rateLimit.before-auth',
  config,
  compile(limiters, site) {
    const early = limiters.filter(({ before }) => before === 'auth')
    // The layer further in has by then put its own in place of the origin's.
    return compileLayer(early, early.length < limiters.length ? 'append' : 'set', site)
  },
})

function compileLayer(limiters: readonly LimiterConfig[], op: FieldOp, site: Site): Middleware {
  if (limiters.length === 0) return pass
  const stores = limitStores(site)
  return compileGates(
    limiters.map((entry) => compileGate(entry, stores)),
    op,
    stores.tally,
  )
}

function checkLimiter(entry: LimiterConfig, i: number, all: readonly LimiterConfig[], route: RouteFacts): Complaint[] {
  const found: Complaint[] = []
  if (all.findIndex(({ name }) => name === entry.name) < i)
    found.push({ path: [i, 'name'], message: `another limiter of this route has the name "${entry.name}" already` })
  if (entry.window % 1_000 !== 0)
    found.push({ path: [i, 'window'], message: 'expected whole seconds: RateLimit-Policy has no fractions' })
  if (entry.burst !== undefined && entry.algorithm !== 'token-bucket')
    found.push({
      path: [i, 'burst'],
      message: `has no use with the algorithm "${entry.algorithm}"; expected "token-bucket"`,
    })
  if (fillMs(entry) > MAX_FILL_MS)
    found.push({
      path: [i, 'burst'],
      message: 'expected a bucket that is full again after at most a year: more limit, or less burst',
    })
  for (const [j, part] of entry.key.entries()) {
    const path = [i, 'key', j]
    const ofCaller = part.kind === 'jwt' ? `jwt.${part.name}` : part.kind === 'apiKey' ? 'apiKey.id' : undefined
    if (ofCaller !== undefined && entry.before === 'auth')
      found.push({ path, message: `nobody knows ${ofCaller} before "auth"; expected "client.ip"` })
    else if (ofCaller !== undefined && !route.hasAuth)
      found.push({ path, message: `${ofCaller} needs the policy "auth" on this route` })
    else if (part.kind === 'apiKey' && !Object.values(route.authProviders).some(({ type }) => type === 'apiKey'))
      found.push({ path, message: 'apiKey.id needs an auth provider of type "apiKey"' })
    if (part.kind === 'param' && !route.params.includes(part.name))
      found.push({
        path,
        message: `no parameter "${part.name}" in match.path; ${expectedOneOf(part.name, route.params)}`,
      })
  }
  const kinds = entry.key.map((part) => part.kind)
  if (kinds.includes('header') && !kinds.some((kind) => kind === 'ip' || kind === 'jwt' || kind === 'apiKey'))
    found.push({
      path: [i, 'key'],
      message: 'the client chooses its headers: expected "client.ip" or "jwt.sub" beside them',
    })
  return found
}

function compileGate(entry: LimiterConfig, stores: LimitStores): Gate {
  const { name, algorithm, limit, window: windowMs, key, consistency, onStoreError } = entry
  const burst = algorithm === 'token-bucket' ? (entry.burst ?? limit) : undefined
  const spec = { name, limit, windowMs, burst }
  const strict = consistency === 'strict'
  const missing = () => void stores.tally.missingKeys++
  // What is kept of a bucket and of a window is not the same: no key means both.
  const scope = [name, String(windowMs), ...(burst === undefined ? [] : [algorithm])]
  return {
    name,
    key: compileKey(scope, key, { hashed: strict, missing }),
    local: stores.local(spec),
    store: strict ? stores.strict(spec) : undefined,
    onStoreError,
    policy: `"${name}";q=${limit};w=${windowMs / 1_000}${burst === undefined ? '' : `;burst=${burst}`}`,
  }
}
