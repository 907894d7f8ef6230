import { type Diagnostic, expectedOneOf } from '../config/schema/diagnostic.ts'
import type { RequestAttribute } from '../core/request-attribute.ts'
import type { RouteFacts } from '../core/policy.ts'
import { mostOf } from './cost.ts'
import type { LimiterConfig } from './config.ts'
import { covers } from './overrides.ts'

/** A row is kept, and a date computed, for as long as an empty bucket takes to fill. */
const MAX_FILL_MS = 366 * 86_400_000

/** What a limiter's schema cannot see; paths begin at the limiter. */
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
  if (before === 'auth') return `nobody knows ${name} before "auth"; expected "client.ip"`
  if (!route.hasAuth) return `${name} needs the policy "auth" on this route`
  if (name.startsWith('apiKey.') && !Object.values(route.authProviders).some(({ type }) => type === 'apiKey'))
    return `${name} needs an auth provider of type "apiKey"`
  return undefined
}

/** Whoever asks for more than there ever is would be refused for ever. */
function checkCost({ algorithm, limit, burst, overrides, cost }: LimiterConfig): Diagnostic[] {
  const capacity = (of: { limit: number; burst?: number | undefined }) =>
    algorithm === 'token-bucket' ? (of.burst ?? of.limit) : of.limit
  const least = Math.min(...[{ limit, burst }, ...overrides].map(capacity))
  if (mostOf(cost) <= least) return []
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
