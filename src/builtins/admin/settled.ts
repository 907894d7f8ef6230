import type { Refusal } from '../../identity/types.ts'
import { problem } from '../../core/problem.ts'

type Refused = Refusal | 'unavailable'

/** What the identity store has answered, or its refusal as a problem; `what` is spoken of, such as `user "ada"`. */
export function settled<T>(found: T, what: string): Exclude<T, Refused> | Response {
  if (typeof found !== 'string') return found as Exclude<T, Refused>
  if (found === 'exists') return problem('admin-exists', { detail: `there is a ${what} already` })
  if (found === 'unknown') return problem('admin-not-found', { detail: `there is no ${what}` })
  if (found === 'full') return problem('admin-full', { detail: `no room for ${what}` })
  if (found === 'unavailable') return unavailable()
  if (found.startsWith('invalid: ')) return problem('admin-invalid', { detail: found.slice('invalid: '.length) })
  return found as Exclude<T, Refused>
}

function unavailable(): Response {
  const detail = 'the identity store did not answer; a change may have been made all the same'
  return problem('state-unavailable', { detail, headers: { 'retry-after': '1' } })
}
