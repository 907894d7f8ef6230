import * as z from 'zod/mini'
import { type Complaint, expectedOneOf } from '../config/complaint.ts'
import { choice, doc, duration, notYet } from '../config/scalars.ts'
import type { Exchange, HeaderEdit } from '../exchange.ts'
import { KEY_PARTS, parseKeyPart } from '../key-part.ts'
import { compileKey } from '../limits/key.ts'
import type { LocalLimiter, StoreLimiter, Verdict } from '../limits/limiter.ts'
import { type LimitStores, limitStores } from '../limits/stores.ts'
import type { Middleware } from '../pipeline.ts'
import { definePolicy, type RouteFacts } from '../policy.ts'
import { problem } from '../problem.ts'

const keyPart = z.pipe(
  z.string().check(
    z.refine((text) => parseKeyPart(text) !== undefined, {
      error: ({ input }) =>
        input === 'apiKey.id' ? '"apiKey.id" is not supported yet' : expectedOneOf(String(input), KEY_PARTS),
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
    choice(['fixed-window'], ['sliding-window', 'token-bucket']),
    'fixed-window: windows start at multiples of their length, and each admits `limit`.',
  ),
  limit: doc(z.int().check(z.gte(1), z.lte(MAX_LIMIT)), 'How many requests a window admits.'),
  window: doc(duration(1_000), 'How long a window is: whole seconds, from 1s to 31d.'),
  key: doc(
    z.array(keyPart).check(z.minLength(1, `expected at least one of ${KEY_PARTS.join(', ')}`)),
    'Whom a count belongs to: client.ip, jwt.<claim> (jwt.sub is issuer and subject), header:<name>, param:<name>, route, const:<text>; several together. IPv6 counts by /64. Requests that lack a part share one count.',
  ),
  consistency: doc(
    z.prefault(choice(['strict', 'local'], ['leased']), 'strict'),
    'strict: one count for all isolates, for one awaited call to the store. local: each isolate counts for itself and waits for nothing. Default strict.',
  ),
  onStoreError: doc(
    z.prefault(choice(['allow', 'deny', 'local']), 'local'),
    'While the store of a strict limiter does not answer: allow lets everything through, deny answers 503, local counts in each isolate. Default local.',
  ),
  before: notYet(),
  cost: notYet(),
  mode: notYet(),
  burst: notYet(),
})

type LimiterConfig = z.output<typeof limiter>

/** Counts requests by key and refuses those above the limit with 429; all limiters of a route must pass, in the order written. */
export const rateLimit = definePolicy({
  name: 'rateLimit',
  config: doc(
    z.array(limiter).check(z.minLength(1, 'expected at least one limiter')),
    'How often a route may be called. Limiters are asked in the order written; the first that refuses answers.',
  ),
  check: (config, route) => config.flatMap((entry, i) => checkLimiter(entry, i, config, route)),
  compile(config, site) {
    const stores = limitStores(site)
    const gates = config.map((entry) => compileGate(entry, stores))
    return gates.some((gate) => gate.store) ? storeLimits(gates, stores) : localLimits(gates)
  },
})

function checkLimiter(entry: LimiterConfig, i: number, all: readonly LimiterConfig[], route: RouteFacts): Complaint[] {
  const found: Complaint[] = []
  if (all.findIndex(({ name }) => name === entry.name) < i)
    found.push({ path: [i, 'name'], message: `another limiter of this route has the name "${entry.name}" already` })
  if (entry.window % 1_000 !== 0)
    found.push({ path: [i, 'window'], message: 'expected whole seconds: RateLimit-Policy has no fractions' })
  for (const [j, part] of entry.key.entries()) {
    const path = [i, 'key', j]
    if (part.kind === 'jwt' && !route.hasAuth)
      found.push({ path, message: `jwt.${part.name} needs the policy "auth" on this route` })
    if (part.kind === 'param' && !route.params.includes(part.name))
      found.push({
        path,
        message: `no parameter "${part.name}" in match.path; ${expectedOneOf(part.name, route.params)}`,
      })
  }
  const kinds = entry.key.map((part) => part.kind)
  if (kinds.includes('header') && !kinds.includes('ip') && !kinds.includes('jwt'))
    found.push({
      path: [i, 'key'],
      message: 'the client chooses its headers: expected "client.ip" or "jwt.sub" beside them',
    })
  return found
}

/** One compiled limiter. */
interface Gate {
  readonly name: string
  readonly key: (x: Exchange) => string
  readonly local: LocalLimiter
  readonly store: StoreLimiter | undefined
  readonly onStoreError: LimiterConfig['onStoreError']
  /** Its item in RateLimit-Policy. */
  readonly policy: string
}

function compileGate(entry: LimiterConfig, stores: LimitStores): Gate {
  const { name, limit, window: windowMs, key, consistency, onStoreError } = entry
  const strict = consistency === 'strict'
  const missing = () => void stores.tally.missingKeys++
  return {
    name,
    key: compileKey([name, String(windowMs)], key, { hashed: strict, missing }),
    local: stores.local({ name, limit, windowMs }),
    store: strict ? stores.strict({ name, limit, windowMs }) : undefined,
    onStoreError,
    policy: `"${name}";q=${limit};w=${windowMs / 1_000}`,
  }
}

/** Neither async nor awaiting: with only local limiters a request goes straight on. */
function localLimits(gates: readonly Gate[]): Middleware {
  const policies = policyField(gates.map((gate) => gate.policy))
  return (next) => (x) => {
    let passed = ''
    for (const gate of gates) {
      const verdict = gate.local.take(gate.key(x), 1)
      passed = listed(passed, gate, verdict)
      if (verdict.allowed) continue
      x.edits.push(policies, limitField(passed))
      return Promise.resolve(refuse(gate, verdict))
    }
    x.edits.push(policies, limitField(passed))
    return next(x)
  }
}

function storeLimits(gates: readonly Gate[], { tally }: LimitStores): Middleware {
  return (next) => async (x) => {
    const policies = gates.map((gate) => gate.policy)
    let passed = ''
    let refusal: Response | undefined
    for (const [i, gate] of gates.entries()) {
      const key = gate.key(x)
      const answer = gate.store ? await gate.store.take(key, 1, x.waitUntil) : gate.local.take(key, 1)
      if (answer === undefined) {
        tally.storeFailures++
        policies[i] += `;fallback=${gate.onStoreError}`
      }
      const verdict = answer ?? (gate.onStoreError === 'local' ? gate.local.take(key, 1) : undefined)
      if (verdict) passed = listed(passed, gate, verdict)
      if (verdict && !verdict.allowed) refusal = refuse(gate, verdict)
      if (!verdict && gate.onStoreError === 'deny') refusal = problem('limit-store-unavailable')
      if (refusal) break
    }
    x.edits.push(policyField(policies))
    if (passed) x.edits.push(limitField(passed))
    return refusal ?? next(x)
  }
}

/** The fields of draft-ietf-httpapi-ratelimit-headers: one list for all limiters, in place of whatever the origin says of its own. */
function policyField(items: readonly string[]): HeaderEdit {
  return { op: 'set', name: 'ratelimit-policy', value: items.join(', ') }
}

function limitField(value: string): HeaderEdit {
  return { op: 'set', name: 'ratelimit', value }
}

function listed(before: string, gate: Gate, { remaining, resetMs }: Verdict): string {
  const item = `"${gate.name}";r=${remaining};t=${Math.ceil(resetMs / 1_000)}`
  return before === '' ? item : `${before}, ${item}`
}

function refuse(gate: Gate, { resetMs }: Verdict): Response {
  return problem('quota-exceeded', {
    members: { 'violated-policies': [gate.name] },
    headers: { 'retry-after': String(Math.ceil(resetMs / 1_000)) },
  })
}
