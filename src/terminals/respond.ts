import type { RespondConfig } from '../config/routes-file.ts'
import type { Handler } from '../core/pipeline.ts'

/** Answers what stands in routes.json. */
export function compileRespond({ status, headers, body }: RespondConfig): Handler {
  return () => Promise.resolve(new Response(body ?? null, { status, headers }))
}
