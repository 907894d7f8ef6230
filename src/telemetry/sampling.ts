/** Where the random part of a trace id is (W3C Trace Context level 2 §3.2.2.3): the last 56 bits, of which a number holds 48 with room. */
const RANDOM_PART = [18, 30] as const
const RANDOM_DIGITS = 12
const RANDOM_VALUES = 16 ** RANDOM_DIGITS

/**
 * Compiles `OTEL_TRACES_SAMPLER_ARG`, a ratio from 0 to 1, to a decision on a trace id: the same one in every process
 * that keeps this ratio, and a trace kept at some ratio is kept at every higher one. Everything is sampled when the
 * ratio is unset or is not one.
 */
export function compileRatio(setting: string | undefined): (traceId: string) => boolean {
  const ratio = Number(setting ?? 1)
  if (!(ratio >= 0 && ratio < 1)) return () => true
  const threshold = Math.ceil((1 - ratio) * RANDOM_VALUES)
  if (threshold === RANDOM_VALUES) return () => false
  // Lower-case digits, as many of them, stand in the order of their numbers: nothing has to be parsed.
  const least = threshold.toString(16).padStart(RANDOM_DIGITS, '0')
  return (traceId) => traceId.slice(...RANDOM_PART) >= least
}
