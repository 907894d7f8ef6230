import { discardBody } from '../lib/body.ts'
import { rangeOf, sliceBody } from './http/byte-range.ts'
import { fieldsOf, type Fields, type StoredHead } from './http/entry.ts'
import { entityTagOf } from './http/validation.ts'
import type { FoundResponse } from './store/tiers.ts'

/** A response of the origin, or a problem of the gateway in its place; times in epoch milliseconds. */
export interface OriginResponse {
  readonly kind: 'answered'
  readonly response: Response
  readonly requestTime: number
  readonly responseTime: number
  /** The bytes that the response holds where it is a part; its status and headers are those of the whole. */
  readonly part?: StoredHead['part']
  /** The status of the origin, where the response was made from a stored part and a 206. */
  readonly fwdStatus?: number
}

type Part = NonNullable<StoredHead['part']>

/** Whether a stored part holds all bytes of the range that a request asks for; also for a range that no response could satisfy. */
export function coversRange(request: Fields, head: StoredHead): boolean {
  const range = rangeOf(request, head)
  if (range === undefined || head.part === undefined) return false
  return 'unsatisfiable' in range || (head.part.first <= range.first && range.last <= head.part.last)
}

/** Whether a request asks for one range and nothing else, so that the 206 to it can be stored. */
export const isPlainRange = (request: Fields): boolean =>
  /^bytes=(?:\d+-\d*|-\d+)$/i.test(request.get('range') ?? '') &&
  ['if-range', 'if-none-match', 'if-modified-since'].every((name) => request.get(name) === null)

/**
 * A 206 in the form of the whole response, with the part that it holds; undefined where it cannot be combined with others (RFC 9111 §3.4): it
 * has several ranges, an unknown length, a coding, or no strong entity tag.
 */
export function partOf(got: OriginResponse): OriginResponse | undefined {
  const { response } = got
  const { headers, status, body } = response
  const range = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/i.exec(headers.get('content-range')?.trim() ?? '')
  const isCombinable = strongTag(headers) !== undefined && headers.get('content-encoding') === null
  if (status !== 206 || range === null || body === null || !isCombinable) return undefined
  const [first, last, length] = range.slice(1).map(Number) as [number, number, number]
  if (first > last || last >= length) return undefined
  const own = headers.get('content-length')
  if (own !== null && Number(own) !== last - first + 1) return undefined
  const whole = new Headers(headers)
  whole.delete('content-range')
  whole.delete('transfer-encoding')
  whole.set('content-length', String(length))
  return { ...got, response: new Response(body, { headers: whole }), part: { first, last } }
}

function strongTag(fields: Fields): string | undefined {
  const tag = entityTagOf(fields)
  return tag?.startsWith('W/') === true ? undefined : tag
}

/**
 * The whole response from a stored part and the bytes that it lacks at one end (RFC 9111 §3.4); the origin's response where it is another;
 * undefined where the whole has to be fetched. `send` sends the request with further fields.
 */
export async function complete(
  { head, body }: FoundResponse,
  send: (fields: Record<string, string>) => Promise<OriginResponse>,
): Promise<OriginResponse | undefined> {
  const fields = fieldsOf(head.headers)
  const tag = strongTag(fields)
  const lacking = lackingOf(head.part!, Number(fields.get('content-length')))
  if (tag === undefined || lacking === undefined || body === null) return drop(body)
  const got = await send({ range: `bytes=${lacking.first}-${lacking.last}`, 'if-range': tag }).catch(
    (error: unknown) => {
      drop(body)
      throw error
    },
  )
  const { status } = got.response
  const rest = partOf(got)
  const isRest = rest !== undefined && samePart(rest.part!, lacking) && isSameVersion(fields, rest.response.headers)
  if (isRest) {
    const { response } = rest
    const bodies = lacking.first === 0 ? [response.body!, body] : [body, response.body!]
    return { ...got, response: new Response(joinBodies(bodies), response), fwdStatus: status }
  }
  drop(body)
  if (status !== 206 && status !== 416) return got
  discardBody(got.response)
  return undefined
}

function drop(body: ReadableStream<Uint8Array> | null): undefined {
  body?.cancel().catch(() => {})
}

const samePart = (a: Part, b: Part) => a.first === b.first && a.last === b.last

const isSameVersion = (a: Fields, b: Fields) =>
  strongTag(a) !== undefined && strongTag(a) === strongTag(b) && a.get('content-length') === b.get('content-length')

function lackingOf({ first, last }: Part, length: number): Part | undefined {
  if (first === 0) return { first: last + 1, last: length - 1 }
  return last === length - 1 ? { first: 0, last: first - 1 } : undefined
}

/** A new part with the stored one, where they overlap or meet and are of one version; `join` makes the common body of the new one's. */
export function extendPart(
  head: StoredHead,
  stored: FoundResponse | undefined,
): { readonly head: StoredHead; readonly join?: (body: ReadableStream<Uint8Array>) => ReadableStream<Uint8Array> } {
  const [own, old] = [head.part!, stored?.head.part]
  const before = old !== undefined && old.first < own.first
  const after = old !== undefined && old.last > own.last
  const isJoined =
    before !== after &&
    stored?.body != null &&
    isSameVersion(fieldsOf(stored.head.headers), fieldsOf(head.headers)) &&
    own.first <= old!.last + 1 &&
    old!.first <= own.last + 1
  if (!isJoined) {
    drop(stored?.body ?? null)
    return { head: withPart(head, own) }
  }
  const part = { first: Math.min(own.first, old!.first), last: Math.max(own.last, old!.last) }
  const kept = before
    ? sliceBody(stored.body!, 0, own.first - old.first - 1)
    : sliceBody(stored.body!, own.last + 1 - old!.first, old!.last - old!.first)
  return { head: withPart(head, part), join: (body) => joinBodies(before ? [kept, body] : [body, kept]) }
}

/** Without `part` where it is the whole. */
function withPart(head: StoredHead, part: Part): StoredHead {
  const length = Number(fieldsOf(head.headers).get('content-length'))
  if (part.first > 0 || part.last < length - 1) return { ...head, part }
  const whole = { ...head }
  delete whole.part
  return whole
}

/** The bytes of several bodies, one after the other, read on demand. */
function joinBodies(bodies: readonly ReadableStream<Uint8Array>[]): ReadableStream<Uint8Array> {
  const readers = bodies.map((body) => body.getReader())
  return new ReadableStream<Uint8Array>(
    {
      async pull(stream) {
        for (let reader = readers[0]; reader !== undefined; reader = readers[0]) {
          const { done, value } = await reader.read()
          if (!done) return stream.enqueue(value)
          readers.shift()
        }
        stream.close()
      },
      async cancel(reason) {
        await Promise.allSettled(readers.map((reader) => reader.cancel(reason)))
      },
    },
    { highWaterMark: 0 },
  )
}
