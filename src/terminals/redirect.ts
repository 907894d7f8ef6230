import type { RedirectConfig } from '../config/routes-file.ts'
import type { Handler } from '../core/pipeline.ts'
import { problem } from '../core/problem.ts'
import { compilePath } from '../core/template.ts'

/** Answers with a `Location`; the query is kept, and a final `/*` carries what the matched wildcard held. */
export function compileRedirect(config: RedirectConfig): Handler {
  const { status, scheme, host } = config
  const path = compilePath(config.path)
  return (x) => {
    const target = path.render(x)
    if (target === undefined) return Promise.resolve(problem(path.fault(x)))
    // Relative unless told otherwise: an answer that a shared cache might keep must not repeat the Host that one client sent.
    const base = scheme || host ? `${scheme ?? x.client.scheme}://${host ?? x.client.host}` : ''
    return Promise.resolve(new Response(null, { status, headers: { location: base + target + x.outgoing.search } }))
  }
}
