import { registerHooks } from 'node:module'

/** Lets Node load the gateway's sources. The module of the Workers runtime becomes a stub, because nothing that runs at build time uses it. */
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'cloudflare:workers'
      ? { url: 'data:text/javascript,export class DurableObject {}; export const env = {}', shortCircuit: true }
      : next(specifier, context),
})
