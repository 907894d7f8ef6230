import { failureOf } from './outcome.ts'

/** What a try says about its target: `void` is nothing, since it was the caller, or a hedge that lost, that ended it. */
export type TryResult = 'good' | 'failed' | 'void'

/** Judges one try: a 5xx, a timeout, a rejected connection or a broken answer is failed; a 4xx is the caller's mistake, well answered. */
export function tryResult(response: Response): TryResult {
  if (response.status < 400) return 'good'
  const failure = failureOf(response)
  if (failure === 'client') return 'void'
  return failure !== undefined || response.status >= 500 ? 'failed' : 'good'
}
