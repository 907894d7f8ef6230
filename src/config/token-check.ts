import type { RequestAttribute } from '../core/request-attribute.ts'
import type { Diagnostic } from './schema/diagnostic.ts'
import type { RouteConfig } from './routes-file.ts'

/** Refuses a `builtin: token` at which passwords can be tried without end, or at which one caller can lock out all others; `at` is where the route stands. */
export function checkToken({ builtin, policies }: RouteConfig, at: Diagnostic['path']): Diagnostic[] {
  if (builtin !== 'token') return []
  const limiters = (policies.rateLimit ?? []) as readonly {
    readonly before?: string
    readonly key: readonly RequestAttribute[]
  }[]
  const early = limiters.filter(({ before }) => before === 'auth')
  if (early.some(({ key }) => key.some(({ kind }) => kind === 'ip'))) return []
  const message =
    early.length === 0
      ? 'whoever gets here can try passwords; expected a limiter with "before": "auth", such as 5 a minute for each "client.ip"'
      : 'one caller could use up what all have together to log in; expected "client.ip" in the "key" of a limiter with "before": "auth"'
  return [{ path: [...at, 'policies', 'rateLimit'], message }]
}
