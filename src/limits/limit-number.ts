import * as z from 'zod/mini'
import { valueText } from '../config/schema/diagnostic.ts'
import { MAX_LIMIT } from './cost.ts'

/** A rate in one text, such as `5/m`, `100 per minute`, `10r/s`, `100rpm`, `5-M` and `5/10s`. */
const RATE =
  /^\s*([1-9]\d*)\s*(?:r|reqs?|requests?)?\s*(?:\/|-|per(?=[\s\d])|p|an?\s|every\s)\s*(\d*)\s*(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:r|our)?s?|d(?:ay)?s?)\s*$/i

interface Rate {
  readonly limit: string
  /** As this file writes it: `1m`. */
  readonly window: string
}

/** The schema of a limit. `advise` says how to write a rate that was found in its place. */
export function limitNumber(advise: (rate: Rate) => string) {
  const explain = (input: unknown) => {
    if (input === undefined) return 'expected a whole number'
    const rate = typeof input === 'string' ? parseRate(input) : undefined
    return `expected a whole number, found ${valueText(input)}${rate === undefined ? '' : `; ${advise(rate)}`}`
  }
  return z
    .int({ error: ({ code, input }) => (code === 'invalid_type' ? explain(input) : undefined) })
    .check(z.gte(1), z.lte(MAX_LIMIT))
}

function parseRate(text: string): Rate | undefined {
  const [, limit, count, unit] = RATE.exec(text) ?? []
  return limit && unit ? { limit, window: `${Number(count) || 1}${unit[0]!.toLowerCase()}` } : undefined
}
