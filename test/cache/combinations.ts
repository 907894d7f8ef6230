import { CAME, httpDate } from './stored.ts'

/** One directive as it is written: `name` in any case, `rest` with its `=`. */
export interface Directive {
  readonly name: string
  readonly rest: string
}

/** A request, its answer that came at `CAME` after `delay` seconds, and the same request again `after` seconds later. */
export interface Combination {
  readonly method: string
  readonly status: number
  readonly delay: number
  readonly after: number
  readonly asked: readonly Directive[]
  readonly answered: readonly Directive[]
  readonly targeted: readonly Directive[]
  /** The other fields of both. */
  readonly request: Readonly<Record<string, string>>
  readonly answer: Readonly<Record<string, string>>
}

/** A field's text; undefined for one without members. */
export const textOf = (directives: readonly Directive[]): string | undefined =>
  directives.length === 0 ? undefined : directives.map(({ name, rest }) => name + rest).join(', ')

const SECONDS = ['=0', '=10', '=100', '=100', '="50"', '=99999999999', '=x', '=1.5', '=', '', ' = 10']
const FLAGS = ['no-store', 'no-cache', 'private', 'public', 'public', 'must-revalidate', 'proxy-revalidate']
const ODD_FLAGS = ['must-understand', 'immutable', 'no-transform']
const LISTS = ['private="x-a"', 'no-cache="x-a, x-b"', 'ext="a, no-store, b"']
const TIMED = ['max-age', 'max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error']
const ASKED = ['max-age', 'max-stale', 'max-stale', 'min-fresh', 'no-cache', 'no-store', 'only-if-cached']
const STATUSES = [100, 203, 204, 205, 206, 299, 301, 302, 304, 403, 404, 405, 412, 414, 416, 500, 501, 503, 999]

const DAY = 86_400_000
const ODD_DATES = ['0', 'never', '2035-01-01', 'Mon, 01 Jan 2035 00:00:00 EST', '01 Jan 2035 00:00:00 GMT']
const date = (time: number) => [
  httpDate(time),
  new Date(time).toUTCString().replace(/^\w+, (\d+) (\w+) \d\d(\d\d)/, 'Monday, $1-$2-$3'),
  new Date(time).toUTCString().replace(/^(\w+), (\d\d) (\w+) (\d+) (\S+) GMT/, '$1 $3 $2 $5 $4'),
]

const EXPIRES = [...date(CAME + 30_000), ...date(CAME - 1000), ...ODD_DATES]
const DATES = [...date(CAME), ...date(CAME), ...date(CAME - 20_000), httpDate(CAME + 9000), ...ODD_DATES]
const MODIFIED = [...date(CAME - 600_000), httpDate(CAME - 99 * DAY), httpDate(CAME + DAY), ...ODD_DATES]

/** Combinations by chance, the same for the same `seed`. */
export function* combinations(count: number, seed: number): Generator<Combination> {
  let state = seed
  const random = () => {
    // xorshift32 (Marsaglia).
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
  const one = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)]!
  const inCase = (name: string) =>
    random() < 0.1 ? one([name.toUpperCase(), name[0]!.toUpperCase() + name.slice(1)]) : name
  const answered = (): Directive => {
    if (random() < 0.6)
      return { name: inCase(one(TIMED)), rest: random() < 0.7 ? one(['=10', '=60', '=100']) : one(SECONDS) }
    const [name, rest] = one(random() < 0.7 ? FLAGS : [...ODD_FLAGS, ...LISTS]).split(/(?==)/)
    return { name: inCase(name!), rest: rest ?? '' }
  }
  const asked = (): Directive => {
    const name = one(ASKED)
    const isTimed = name.startsWith('m')
    return { name: inCase(name), rest: isTimed ? one(random() < 0.8 ? ['=0', '=5', '=50', ''] : SECONDS) : '' }
  }
  const some = (most: number, make: () => Directive) => Array.from({ length: Math.floor(random() * (most + 1)) }, make)
  const maybe = (chance: number, name: string, values: readonly string[]) =>
    random() < chance ? { [name]: one(values) } : {}
  for (let i = 0; i < count; i++)
    yield {
      method: random() < 0.04 ? one(['HEAD', 'POST']) : 'GET',
      status: random() < 0.2 ? one(STATUSES) : 200,
      delay: random() < 0.1 ? 2 : 0,
      after: one([0, 5, 9, 10, 11, 49, 60, 99, 100, 101, 1000, 100_000]),
      asked: random() < 0.4 ? some(2, asked) : [],
      answered: some(4, answered),
      targeted: random() < 0.1 ? some(3, answered) : [],
      request: { ...maybe(0.1, 'authorization', ['Bearer a']), ...maybe(0.05, 'pragma', ['no-cache', 'x']) },
      answer: {
        ...maybe(0.3, 'expires', EXPIRES),
        ...maybe(0.5, 'date', DATES),
        ...maybe(0.3, 'last-modified', MODIFIED),
        ...maybe(0.15, 'age', ['0', '7', '5, 9', 'x', '-5', '5.5']),
        ...maybe(0.05, 'pragma', ['no-cache']),
        ...maybe(0.05, 'vary', ['accept', '*', 'accept, *']),
        ...maybe(0.04, 'set-cookie', ['a=1']),
      },
    }
}
