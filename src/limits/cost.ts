import * as z from 'zod/mini'
import { doc, headerName } from '../config/schema/scalars.ts'
import type { Exchange } from '../core/exchange.ts'
import type { LocalLimiter, StoreLimiter, TakenPart } from './limiter.ts'
import type { LimiterCounters } from './store/limit-log.ts'

/** The most that a limit, a burst or a cost may be: more than 15 digits are no integer of RFC 9651, nor an exact one of Lua. */
export const MAX_LIMIT = 1_000_000_000

const units = (least: number) => z.int().check(z.gte(least), z.lte(MAX_LIMIT))

const costHeader = z
  .strictObject({
    requestHeader: z.optional(
      doc(
        headerName,
        'The request header with the cost. The client chooses its value, unless a proxy in front sets it.',
      ),
    ),
    responseHeader: z.optional(
      doc(
        headerName,
        'The response header with the cost: 1 is taken before the request, the rest with the response. The client does not receive the header.',
      ),
    ),
    max: doc(units(1), 'The highest cost of one request; a higher number in the header counts as this.'),
    default: z.optional(doc(units(1), 'The cost without a request header that is a number of at least 1. Default 1.')),
  })
  .check(({ value, issues }) => {
    const report = (key: keyof typeof value, message: string) =>
      issues.push({ code: 'custom', input: value, path: [key], message })
    const { requestHeader, responseHeader, max, default: otherwise } = value
    if (requestHeader === undefined && responseHeader === undefined)
      report('requestHeader', 'expected this or responseHeader')
    if (requestHeader !== undefined && responseHeader !== undefined)
      report('responseHeader', 'has no use beside requestHeader')
    if (responseHeader !== undefined && otherwise !== undefined)
      report(
        'default',
        'has no use with responseHeader: a response without the header costs the 1 that was taken before',
      )
    if (otherwise !== undefined && otherwise > max) report('default', `expected at most max, ${max}`)
  })

/** `cost` of a limiter. */
export const cost = z.union([units(0), costHeader])

/** A fixed cost, 0 or more, or the header of the request or the response that holds it, up to `max`. */
export type CostConfig = z.output<typeof cost>

/** The tokens that a request takes from a limiter. */
export interface Cost {
  /** Taken before the request goes on, a whole number of at least 0. */
  readonly before: (x: Exchange) => number
  /** Set where the response holds the cost. */
  readonly after: ResponseCost | undefined
}

/** The cost in a response: in `header`, a lower-case name, which the client does not receive. */
export interface ResponseCost {
  readonly header: string
  /** The whole cost of the response; `TAKEN_BEFORE` where it holds none, or less. */
  readonly of: (response: Response) => number
}

/** Taken before the response, so that an empty count refuses although the rest of the cost is not known yet. */
const TAKEN_BEFORE = 1

/** Compiles `cost`: a constant, or how it is read from a header. */
export function compileCost(config: CostConfig): Cost {
  if (typeof config === 'number') return { before: () => config, after: undefined }
  const { requestHeader, responseHeader, max, default: otherwise = TAKEN_BEFORE } = config
  if (requestHeader !== undefined)
    return {
      before: ({ headers }) => parseCost(headers[requestHeader], max) ?? otherwise,
      after: undefined,
    }
  const header = responseHeader!
  const of = (response: Response) => parseCost(response.headers.get(header) ?? undefined, max) ?? TAKEN_BEFORE
  return { before: () => TAKEN_BEFORE, after: { header, of } }
}

/** The most that one request can be charged. */
export function maxCostOf(config: CostConfig): number {
  return typeof config === 'number' ? config : config.max
}

/** A decimal integer of at least 1, reduced to `max`; undefined for every other text. */
function parseCost(text: string | undefined, max: number): number | undefined {
  if (text === undefined || !/^\d+$/.test(text)) return undefined
  const value = Number(text)
  return value < 1 ? undefined : Math.min(value, max)
}

type WaitUntil = (work: Promise<unknown>) => void

/** The cost that is taken after the response. */
export interface PendingCost {
  readonly after: ResponseCost
  readonly key: string
  /** The store that admitted the request; undefined for this isolate. */
  readonly store: StoreLimiter | undefined
  readonly local: LocalLimiter
  readonly counters: LimiterCounters
  /** Writes the taken tokens to the decision log. */
  readonly note: ((part: TakenPart) => void) | undefined
}

/** Takes the rest of the cost of `response`, in `waitUntil`: at most what is left, because a count never falls below 0. */
export function consumeRest(debit: PendingCost, response: Response, waitUntil: WaitUntil): void {
  const rest = debit.after.of(response) - TAKEN_BEFORE
  if (rest > 0) waitUntil(drain(debit, rest, waitUntil))
}

async function drain(
  { store, local, key, note, counters }: PendingCost,
  rest: number,
  waitUntil: WaitUntil,
): Promise<void> {
  const parts = store === undefined ? local.drain(key, rest) : await store.drain(key, rest, waitUntil)
  let taken = 0
  for (const part of parts) {
    note?.(part)
    taken += part.taken
  }
  counters.uncharged += rest - taken
}
