/** Where the random part of a trace id is (W3C Trace Context level 2 §3.2.2.3): the last 56 bits, of which a number holds 48 with room. */
const RANDOM_PART = [18, 30] as const
const RANDOM_VALUES = 2 ** 48

/**
 * Compiles `OTEL_TRACES_SAMPLER_ARG`, a ratio from 0 to 1, to a decision on a trace id: the same one in every process
 * that keeps this ratio, and a trace kept at some ratio is kept at every higher one. Everything is sampled when the
 * ratio is unset or is not one.
 */
export function compileRatio(setting: string | undefined): (traceId: string) => boolean {
  const ratio = Number(setting ?? 1)
  if (!(ratio >= 0 && ratio < 1)) return () => true
  const threshold = (1 - ratio) * RANDOM_VALUES
  return (traceId) => Number.parseInt(traceId.slice(...RANDOM_PART), 16) >= threshold
}
