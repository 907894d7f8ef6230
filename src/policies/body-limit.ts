import * as z from 'zod/mini'
import { doc, size } from '../config/schema/scalars.ts'
import type { Exchange } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import { definePolicy } from '../core/policy.ts'
import { problem } from '../core/problem.ts'

/** The policy `bodyLimit`: 413 for a body of more than `max` bytes, before the upstream is called if the length is declared, else as soon as the limit is passed. */
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

/** The declared length of the client's body, in bytes: the runtime reads exactly `Content-Length` bytes, and has no such header for a chunked body. */
function declaredLength(x: Exchange, body: ReadableStream<Uint8Array>): number | undefined {
  const declared = body === x.request.body ? x.headers['content-length'] : undefined
  return declared !== undefined && /^\d+$/.test(declared) ? Number(declared) : undefined
}

async function countBody(x: Exchange, body: ReadableStream<Uint8Array>, max: number, next: Handler): Promise<Response> {
  x.outgoing.body = body.pipeThrough(makeCounter(x, max), { preventCancel: true })
  try {
    const response = await next(x)
    if (x.uploadProblem === undefined) return response
    await response.body?.cancel()
  } catch (error) {
    // The reader of the body fails with an error of its own on the aborted stream; the cause is still the client.
    if (x.uploadProblem === undefined) throw error
  }
  return problem(x.uploadProblem)
}

/** Passes chunks on, and aborts at the chunk that exceeds `max`. */
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
