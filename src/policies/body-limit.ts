import * as z from 'zod/mini'
import { doc, size } from '../config/schema/scalars.ts'
import type { Exchange } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import { definePolicy } from '../core/policy.ts'
import { problem } from '../core/problem.ts'

/** Answers 413 to a body of more than `max` bytes, before the upstream is asked when the body says its length, else as soon as it passes. */
export const bodyLimit = definePolicy({
  name: 'bodyLimit',
  config: z.strictObject({
    max: doc(size(), 'The most bytes a request body may have. Required; without the policy there is no limit.'),
  }),
  compile:
    ({ max }) =>
    (next) =>
    (x) => {
      const { body } = x.outgoing
      if (body === null) return next(x)
      const length = body instanceof Uint8Array ? body.byteLength : declaredLength(x, body)
      if (length === undefined) return countBody(x, body as ReadableStream<Uint8Array>, max, next)
      return length > max ? Promise.resolve(problem('body-too-large')) : next(x)
    },
})

/** What the runtime holds the client's body to: it reads `Content-Length` bytes and not one more, and shows none for a chunked body. */
function declaredLength(x: Exchange, body: ReadableStream<Uint8Array>): number | undefined {
  const declared = body === x.request.body ? x.headers['content-length'] : undefined
  return declared !== undefined && /^\d+$/.test(declared) ? Number(declared) : undefined
}

async function countBody(x: Exchange, body: ReadableStream<Uint8Array>, max: number, next: Handler): Promise<Response> {
  x.outgoing.body = body.pipeThrough(makeCounter(x, max))
  try {
    const response = await next(x)
    if (x.uploadProblem === undefined) return response
    await response.body?.cancel()
  } catch (error) {
    // Whoever read the body meets the broken stream as an error of its own; the fault is still the client's.
    if (x.uploadProblem === undefined) throw error
  }
  return problem(x.uploadProblem)
}

/** Passes chunks on as they are taken, and breaks off at the one that passes `max`. */
function makeCounter(x: Exchange, max: number): TransformStream<Uint8Array, Uint8Array> {
  let count = 0
  return new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      count += chunk.byteLength
      if (count <= max) return controller.enqueue(chunk)
      x.uploadProblem = 'body-too-large'
      controller.error(new Error('body-too-large'))
    },
  })
}
