let second = NaN
let prefix = ''

/** Epoch milliseconds as ISO 8601, in UTC; of one second, which most lines of a log share, the date is written once. */
export function isoTime(ms: number): string {
  const current = Math.floor(ms / 1_000)
  if (current !== second) {
    prefix = new Date(current * 1_000).toISOString().slice(0, 20)
    second = current
  }
  return `${prefix}${String(ms - current * 1_000).padStart(3, '0')}Z`
}
