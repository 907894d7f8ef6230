import type { Algorithm } from '../../../src/limits/limiter.ts'
import { boundText, type Consistency } from './bounds.ts'
import type { Finding } from './run.ts'
import type { StoreKind } from './scene.ts'

export const ALGORITHMS: readonly Algorithm[] = ['fixed-window', 'sliding-window', 'token-bucket']

const PLACES: readonly (readonly [Consistency, StoreKind | 'isolate'])[] = [
  ['strict', 'durable-objects'],
  ['strict', 'redis'],
  ['leased', 'durable-objects'],
  ['leased', 'redis'],
  ['local', 'isolate'],
]

const NAMES = { 'durable-objects': 'Durable Objects', redis: 'Redis', isolate: 'the isolate' } as const

/** One way to count: its bound, and how to know its findings. */
export interface Mode {
  readonly algorithm: Algorithm
  readonly consistency: Consistency
  readonly place: string
  readonly bound: string
}

export const MODES: readonly Mode[] = ALGORITHMS.flatMap((algorithm) =>
  PLACES.map(([consistency, place]) => ({
    algorithm,
    consistency,
    place: NAMES[place],
    bound: boundText(algorithm, consistency),
  })),
)

/** Where the findings of a scene belong in the table. */
export function placeOf(consistency: Consistency, store: StoreKind): string {
  return NAMES[consistency === 'local' ? 'isolate' : store]
}

export type Placed = Finding & { readonly place: string }

/** The table of bounds, in Markdown, with what was measured of each way to count; of those without findings nothing is said. */
export function boundsTable(findings: readonly Placed[]): string {
  const head = ['Algorithm', 'Consistency', 'Store', 'At most, for one key', 'Admitted', 'Above it', 'Refused below it']
  const rows = MODES.map(({ algorithm, consistency, place, bound }) => {
    const own = findings.filter(
      ({ limiter, place: where }) =>
        limiter.algorithm === algorithm && limiter.consistency === consistency && where === place,
    )
    return [`\`${algorithm}\``, `\`${consistency}\``, place, bound, ...measured(own)]
  })
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** What was refused says something only where the store answered in time: one that is late has counted what it did not answer. */
function measured(findings: readonly Finding[]): string[] {
  if (findings.length === 0) return ['–', '–', '–']
  const inTime = findings.filter(({ unanswered }) => unanswered === 0)
  const sum = (of: readonly Finding[], read: (finding: Finding) => number) =>
    of.reduce((all, one) => all + read(one), 0)
  const under = sum(inTime, (finding) => finding.under)
  const share = (100 * under) / (sum(inTime, ({ admitted }) => admitted) + under)
  const over = Math.max(...findings.map((finding) => finding.over))
  const refused = inTime.length === 0 ? '–' : under === 0 ? '0' : `${share.toFixed(2)} %`
  return [String(sum(findings, ({ admitted }) => admitted)), String(over), refused]
}
