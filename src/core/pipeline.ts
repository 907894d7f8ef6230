import type { Exchange } from './exchange.ts'

/** Makes the response of one exchange. */
export type Handler = (x: Exchange) => Promise<Response>

/** Wraps a handler with one concern. It may respond itself, call `next` once, or call it again. */
export type Middleware = (next: Handler) => Handler

/** The layer that does nothing. A policy that has nothing to do on a route compiles to it, and the route leaves it out. */
export const passThrough: Middleware = (next) => next

/** Nests `layers` around `terminal`; the first layer is the outermost. */
export function compose(layers: readonly Middleware[], terminal: Handler): Handler {
  return layers.reduceRight((next, layer) => layer(next), terminal)
}
