import { registerHooks } from 'node:module'

/** Lets Node read the gateway's sources: what they import from the Workers runtime exists here in name only, and nothing that runs at build time uses it. */
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'cloudflare:workers'
      ? { url: 'data:text/javascript,export class DurableObject {}; export const env = {}', shortCircuit: true }
      : next(specifier, context),
})
