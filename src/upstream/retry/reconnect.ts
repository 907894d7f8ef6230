import type { Exchange } from '../../core/exchange.ts'
import type { Handler, Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { avoidLastTarget } from '../balancing/balance.ts'
import { failureOf } from '../outcome.ts'
import type { RetryBudget } from './retry-budget.ts'
import { betterResponse } from './retry.ts'

/**
 * Sends a GET, HEAD or OPTIONS once more, at once, when its connection failed before the response headers: an origin may close an idle
 * connection at the moment when the gateway uses it again (RFC 9112 §9.3.1 lets a client repeat such a request). For upstreams without `retry`.
 */
export function reconnect(budget: RetryBudget, platform: Pick<Platform, 'now'>): Middleware {
  return (next) => {
    const repeat = async (x: Exchange, failed: Response): Promise<Response> => {
      const now = platform.now()
      if (x.signal.aborted || now >= x.deadline || !budget.take(now)) return failed
      avoidLastTarget(x)
      return betterResponse(failed, await next(x))
    }
    const send: Handler = (x) =>
      next(x).then((response) =>
        response.status >= 500 && failureOf(response) === 'connect-failure' ? repeat(x, response) : response,
      )
    return (x) => (isRepeatable(x) ? send(x) : next(x))
  }
}

/** Whether it is a safe request that is sent without a body. A WebSocket is not repeatable: a second one would be a second connection. */
function isRepeatable({ outgoing: { method, body, headers } }: Exchange): boolean {
  return (method === 'GET' || method === 'HEAD' || (method === 'OPTIONS' && body === null)) && !('upgrade' in headers)
}
