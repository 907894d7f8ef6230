import * as z from 'zod/mini'
import { platformPurges } from '../../cache/purge/purge-feed.ts'
import type { PurgeOrder } from '../../cache/purge/purges.ts'
import { expected } from '../../config/schema/scalars.ts'
import type { Platform } from '../../core/platform.ts'
import { problem } from '../../core/problem.ts'
import type { IdentityClient } from '../../identity/api.ts'
import { canonicalPath, rawPath, rawSearch } from '../../lib/canonical-path.ts'
import { readChange } from './change.ts'
import { actorOf, type AdminEndpoint } from './endpoint.ts'
import { text } from './fields.ts'

/** Of each kind at once. */
const MAX_AT_ONCE = 100
const MAX_URL = 2_048
const URL_EXPECTED = 'expected an absolute http(s) URL with a path, without credentials and fragment'

/** As `StoredHead.url` spells it. */
const url = z.pipe(
  z.string(expected(URL_EXPECTED)).check(
    z.maxLength(MAX_URL),
    z.refine((given) => storedUrl(given) !== undefined, expected(URL_EXPECTED)),
  ),
  z.transform((given: string) => storedUrl(given)!),
)
const list = <Item extends z.ZodMiniType>(item: Item) =>
  z.exactOptional(z.array(item).check(z.minLength(1), z.maxLength(MAX_AT_ONCE)))

const newPurge = z.strictObject({
  tags: list(text),
  urls: list(url),
  prefixes: list(url),
  all: z.exactOptional(z.literal(true)),
  soft: z._default(z.boolean(), false),
})

/** Purges what is cached by tag, URL or prefix, or all of it: removes it, or with `soft` makes it stale. In force everywhere within five seconds. */
export function makeCacheEndpoints(platform: Platform, identity: IdentityClient): AdminEndpoint[] {
  const purges = platformPurges(platform)
  return [
    {
      path: 'cache/purge',
      handlers: {
        POST: async ({ x }) => {
          const read = await readChange(x, newPurge)
          if (read instanceof Response) return read
          const orders = ordersOf(read.value)
          if (orders.length === 0)
            return problem('admin-invalid', { detail: '$: expected "tags", "urls", "prefixes" or "all"' })
          if (!(await purges.purge(orders, x))) return unavailable()
          const kinds = Object.keys(read.value).filter((name) => name !== 'soft')
          // Bounded, so that a long list is not what keeps the act out of the log.
          const details = { count: orders.length, soft: read.value.soft, first: orders.slice(0, 5) }
          const recorded = await identity.recordChange('cache.purge', kinds.join(' '), details, actorOf(x))
          return { ...read.value, audited: recorded === 'recorded' }
        },
      },
    },
  ]
}

function ordersOf({ tags = [], urls = [], prefixes = [], all, soft }: z.output<typeof newPurge>): PurgeOrder[] {
  const mode = soft ? 'soft' : 'hard'
  return [
    ...tags.map((value) => ({ kind: 'tag', value, mode }) as const),
    ...urls.map((value) => ({ kind: 'url', value, mode }) as const),
    ...prefixes.map((value) => ({ kind: 'prefix', value, mode }) as const),
    ...(all ? [{ kind: 'all', value: '', mode } as const] : []),
  ]
}

/** Undefined for what no request could have asked for. */
function storedUrl(given: string): string | undefined {
  // A backslash ends the host for the one parser, and not for the other.
  const parsed = /^https?:\/\/[^/]/i.test(given) && !/[\\#]/.test(given) ? URL.parse(given) : null
  if (parsed === null || parsed.username !== '' || parsed.password !== '') return undefined
  const path = canonicalPath(rawPath(given))
  return path === undefined ? undefined : `${parsed.origin}${path}${rawSearch(given)}`
}

function unavailable(): Response {
  const detail = 'the store of purges did not respond; the purge may have been made all the same'
  return problem('state-unavailable', { detail, headers: { 'retry-after': '1' } })
}
