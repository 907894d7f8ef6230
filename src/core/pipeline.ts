import type { Exchange } from './exchange.ts'

/** Answers one exchange. */
export type Handler = (x: Exchange) => Promise<Response>

/** Wraps a handler with one concern. It may answer itself, call `next` once, or call it again. */
export type Middleware = (next: Handler) => Handler

/** The layer that does nothing: what a policy compiles to where it has nothing to do, so that nobody pays for it. */
export const passThrough: Middleware = (next) => next

/** Nests `layers` around `terminal`; the first layer is the outermost. */
export function compose(layers: readonly Middleware[], terminal: Handler): Handler {
  return layers.reduceRight((next, layer) => layer(next), terminal)
}
