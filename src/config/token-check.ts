import type { Complaint } from './complaint.ts'
import type { RouteConfig } from './routes-file.ts'

/** Refuses a `builtin: token` at which passwords can be tried without end; `at` is where the route stands. */
export function checkToken({ builtin, policies }: RouteConfig, at: Complaint['path']): Complaint[] {
  if (builtin !== 'token') return []
  const limiters = (policies.rateLimit ?? []) as readonly { readonly before?: string }[]
  if (limiters.some(({ before }) => before === 'auth')) return []
  const message =
    'whoever gets here can try passwords; expected a limiter with "before": "auth", such as 5 a minute for each "client.ip"'
  return [{ path: [...at, 'policies', 'rateLimit'], message }]
}
