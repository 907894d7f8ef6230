import { BYTES_FIELD, HEAD_FIELD, type EdgeCache } from './edge-tier.ts'

/** How long an isolate believes its own copy, in milliseconds: so much later it sees what another isolate has put in its place. */
const BELIEVED_MS = 1_000
/** Larger bodies stream from the cache itself. */
const MAX_BODY_BYTES = 64 * 1024
const MAX_TOTAL_BYTES = 8 * 1024 ** 2

interface Copy {
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly size: number
  /** Epoch milliseconds. */
  readonly since: number
}

/**
 * `cache` with this isolate's own copies of its small answers in front: to ask the Cache API costs as much as to ask an origin. What
 * was put or deleted here is so at once.
 */
export function rememberBriefly(cache: EdgeCache, now: () => number): EdgeCache {
  /** The oldest first. */
  const copies = new Map<string, Copy>()
  let total = 0
  let changes = 0

  const isBelieved = ({ since }: Copy) => Math.abs(now() - since) < BELIEVED_MS
  const forget = (url: string) => {
    total -= copies.get(url)?.size ?? 0
    copies.delete(url)
  }
  /** `asked`: the changes when it was asked for; something newer may have come since. */
  const remember = async (url: string, response: Response, asked: number): Promise<Copy> => {
    const head = response.headers.get(HEAD_FIELD) ?? ''
    const bytes = new Uint8Array(await response.arrayBuffer())
    const headers = { [HEAD_FIELD]: head, [BYTES_FIELD]: String(bytes.byteLength) }
    const copy = { headers, bytes, size: url.length + head.length + bytes.byteLength, since: now() }
    if (asked !== changes) return copy
    forget(url)
    copies.set(url, copy)
    total += copy.size
    for (const [oldest, one] of copies) {
      if (total <= MAX_TOTAL_BYTES && isBelieved(one)) break
      forget(oldest)
    }
    return copy
  }
  const change = (url: string) => {
    changes++
    forget(url)
  }

  return {
    async match(url) {
      const copy = copies.get(url)
      if (copy !== undefined && isBelieved(copy)) return answer(copy)
      const asked = changes
      const found = await cache.match(url)
      if (found === undefined || !isSmall(found)) return found
      return answer(await remember(url, found, asked))
    },
    async put(url, response) {
      change(url)
      await cache.put(url, response)
      // Those who asked the cache before it had this one.
      change(url)
    },
    delete(url) {
      change(url)
      return cache.delete(url)
    },
  }
}

const answer = ({ headers, bytes }: Copy) => new Response(bytes, { headers })

function isSmall({ headers }: Response): boolean {
  const length = headers.get(BYTES_FIELD)
  return length !== null && Number(length) <= MAX_BODY_BYTES
}
