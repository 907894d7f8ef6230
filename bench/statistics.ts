/** The middle of several measurements, and how far they lie apart. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const median = (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

/** A figure that is counted once and does not vary. */
export const single = (value: number): Spread => ({ median: value, min: value, max: value })

/** Whether a figure is what the project promises; printed beside it. */
export interface Target {
  readonly text: string
  readonly isMet: (value: number) => boolean
}

export const atMost = (limit: number, unit = ''): Target => ({
  text: `≤ ${limit}${unit}`,
  isMet: (value) => value <= limit,
})
export const atLeast = (limit: number, unit = ''): Target => ({
  text: `≥ ${limit}${unit}`,
  isMet: (value) => value >= limit,
})

export interface Figure {
  readonly name: string
  readonly value: Spread
  readonly unit: string
  readonly target?: Target
  readonly note?: string
}

/** A section of the report, figure by figure. */
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

/** Three significant digits, and every digit before the point; a whole number as it is. */
export function digits(value: number): string {
  if (Number.isInteger(value)) return String(value)
  const size = Math.abs(value)
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3)
}
