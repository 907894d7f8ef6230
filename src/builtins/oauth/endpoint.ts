import { Hono } from 'hono'
import type { Exchange } from '../../core/exchange.ts'
import type { Handler } from '../../core/pipeline.ts'
import { problem } from '../../core/problem.ts'

/** Compiles an endpoint that takes one method, at whatever path its route has; GET answers HEAD too. */
export function compileEndpoint(method: 'GET' | 'POST', answer: (x: Exchange) => Promise<Response>): Handler {
  const app = new Hono<{ Bindings: { readonly x: Exchange } }>()
  app.on(method, '*', (c) => answer(c.env.x))
  app.all('*', () => problem('method-not-allowed', { headers: { allow: method === 'GET' ? 'GET, HEAD' : method } }))
  // Hono would answer a text of its own; the gateway reports what throws, and answers a problem.
  app.onError((error) => {
    throw error
  })
  return async (x) => app.fetch(x.request, { x })
}
