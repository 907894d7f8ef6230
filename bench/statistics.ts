/** The median and the range of several measurements. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** The spread of `values`, of which there is at least one. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const median = (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

/** The spread of a single value. */
export const single = (value: number): Spread => ({ median: value, min: value, max: value })

/** The target of a figure, printed beside it. */
export interface Target {
  readonly text: string
  readonly isMet: (value: number) => boolean
}

/** A target with an upper bound. */
export const atMost = (limit: number, unit = ''): Target => ({
  text: `≤ ${limit}${unit}`,
  isMet: (value) => value <= limit,
})
/** A target with a lower bound. */
export const atLeast = (limit: number, unit = ''): Target => ({
  text: `≥ ${limit}${unit}`,
  isMet: (value) => value >= limit,
})

/** One line of the report. */
export interface Figure {
  readonly name: string
  readonly value: Spread
  readonly unit: string
  readonly target?: Target
  readonly note?: string
}

/** Prints a section of the report, with one line for each figure. */
export function printFigures(title: string, figures: readonly Figure[]): void {
  console.log(`\n${title}`)
  const width = Math.max(...figures.map(({ name }) => name.length))
  for (const { name, value, unit, target, note } of figures) {
    const range = value.min === value.max ? '' : `  [${digits(value.min)} – ${digits(value.max)}]`
    const verdict = target ? `  ${target.text} ${target.isMet(value.median) ? 'pass' : 'MISS'}` : ''
    console.log(
      `  ${name.padEnd(width)}  ${digits(value.median)} ${unit}${range}${verdict}${note ? `  (${note})` : ''}`,
    )
  }
}

/** At least three significant digits and every digit before the point; whole numbers unchanged. */
export function digits(value: number): string {
  if (Number.isInteger(value)) return String(value)
  const size = Math.abs(value)
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3)
}
