import { textOf, type Combination, type Directive } from './combinations.ts'
import { CAME } from './stored.ts'

const TIMED = /^(?:max-age|s-maxage|stale-while-revalidate|stale-if-error|max-stale|min-fresh)$/
export const isTimed = ({ name }: Directive) => TIMED.test(name)
export const isSound = ({ name, rest }: Directive) =>
  /^=(?:\d+|"\d+")$/.test(rest) || (name === 'max-stale' && rest === '')
export const has = (all: readonly Directive[], name: string) => all.some((one) => one.name === name)
export const without = (all: readonly Directive[], ...names: string[]) =>
  all.filter(({ name }) => !names.includes(name))

export const mapBoth = (c: Combination, change: (all: readonly Directive[]) => readonly Directive[]): Combination => ({
  ...c,
  asked: change(c.asked),
  answered: change(c.answered),
})
export const omit = (fields: Readonly<Record<string, string>>, name: string) =>
  Object.fromEntries(Object.entries(fields).filter(([other]) => other !== name))
export const unstored = (c: Combination): Combination => ({ ...c, answered: [{ name: 'no-store', rest: '' }] })
export const when = (test: (c: Combination) => boolean, change: (c: Combination) => Combination) => (c: Combination) =>
  test(c) ? change(c) : c

/** Whether a targeted field is a dictionary: lower-case keys, and a value behind each `=`, with no space before it. */
export const isDictionary = (all: readonly Directive[]) =>
  all.every(({ name, rest }) => name === name.toLowerCase() && (rest === '' || /^=[^ ]/.test(rest)))

/** The targeted directives as Cache-Control: of several the last, and a String where an Integer belongs is no number. */
export function asCacheControl(all: readonly Directive[]): readonly Directive[] {
  const last = new Map(all.map((one) => [one.name, one]))
  return [...last.values()].map((one) => (isTimed(one) && !/^=\d+$/.test(one.rest) ? { ...one, rest: '=x' } : one))
}

export function withoutContradictions(all: readonly Directive[]): readonly Directive[] {
  const rests = Map.groupBy(all, ({ name }) => name)
  return [...rests.values()].map((same) => {
    if (same.every(({ rest }) => rest === same[0]!.rest)) return same[0]!
    return { name: same[0]!.name, rest: !isTimed(same[0]!) ? '' : same[0]!.name === 's-maxage' ? '=x' : '=0' }
  })
}

export const dateOf = (text: string | undefined) =>
  text !== undefined && isHttpDate(text) ? Date.parse(text.includes('GMT') ? text : `${text} GMT`) : CAME
export const isHttpDate = (text: string) =>
  /^(?:\w{3}, \d\d \w{3} \d{4} \S+ GMT|\w{6,9}, \d\d-\w{3}-\d\d \S+ GMT|\w{3} \w{3} [ \d]\d \S+ \d{4})$/.test(text)

/** The corrected initial age in seconds, by the formula of the RFC. */
export function initialAge({ answer, delay }: Combination): number {
  const apparent = Math.max(0, (CAME - dateOf(answer['date'])) / 1000)
  return Math.max(apparent, Number(answer['age']?.split(',')[0] ?? 0) + delay)
}

export const hasLife = ({ answered, answer }: Combination) =>
  answered.some(({ name }) => ['public', 'max-age', 's-maxage'].includes(name)) || answer['expires'] !== undefined

export const UNKNOWN_TO_ORACLE = new Set([205, 299, 403, 500, 503])

/** All fields of one side of a combination, as an object by lower-case name. */
export function fieldsOfSide(c: Combination, side: 'request' | 'answer'): Readonly<Record<string, string>> {
  const cacheControl = textOf(side === 'request' ? c.asked : c.answered)
  const targeted = side === 'answer' ? textOf(c.targeted) : undefined
  return {
    ...c[side],
    ...(cacheControl !== undefined && { 'cache-control': cacheControl }),
    ...(targeted !== undefined && { 'cdn-cache-control': targeted }),
  }
}
