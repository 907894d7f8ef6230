import { loadConfig } from '../../src/config/load.ts'
import { diagnosticText } from '../../src/config/schema/diagnostic.ts'

/** A provider of JWTs, `main`; an upstream, `users`; a route to it: what a small valid file consists of. */
export const main = {
  type: 'jwt',
  issuer: 'https://id.test/',
  audience: 'api',
  algorithms: ['ES256'],
  jwksUri: 'https://id.test/jwks',
}
export const users = { targets: [{ url: 'http://127.0.0.1:9101' }] }
export const route = { id: 'a', match: { path: '/a' }, upstream: 'users' }

/** The diagnostics of that file with `parts` in place of its own; none for a valid one. */
export function diagnostics(parts: object): string[] {
  const file = { version: 1, upstreams: { users }, authProviders: { main }, routes: [route], ...parts }
  const loaded = loadConfig(file)
  return 'diagnostics' in loaded ? loaded.diagnostics.map(diagnosticText) : []
}

/** That route with these policies. */
export const withPolicies = (policies: unknown, match: object = { path: '/a' }) => ({
  routes: [{ ...route, match, policies }],
})
