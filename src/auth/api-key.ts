import type { Platform } from '../core/platform.ts'
import type { ProblemCode } from '../core/problem.ts'
import { compileRequestAttribute } from '../core/request-attribute.ts'
import { makeIdentityClient } from '../identity/client.ts'
import { sha256Hex } from '../identity/password.ts'
import type { ApiKey } from '../identity/types.ts'
import type { Authenticated, Authenticator } from './authenticator.ts'
import type { ApiKeyProviderConfig } from './config/auth-provider.ts'
import { makeCredentialCache } from './credential-cache.ts'

/** The issuer of the identities that API keys stand for: the names of their owners are unique in this gateway only. */
const API_KEY_ISSUER = 'urn:umbral:api-keys'

/** The form of a key. Everything else is refused without a call to the store: also two headers, which arrive as one value with a comma. */
const API_KEY = /^umb_[0-9A-Za-z]{43}$/

/** A provider of type `apiKey`: keys that the identity store created. */
export function makeApiKeyAuthenticator(name: string, config: ApiKeyProviderConfig, platform: Platform): Authenticator {
  const store = makeIdentityClient(platform.identityStore)
  const cache = makeCredentialCache({
    check: async (key) => judge(name, await store.findApiKey(sha256Hex(key))),
    unavailable: 'identity-unavailable',
    ttlMs: config.cacheTtl,
    maxEntries: MAX_ENTRIES,
    now: platform.now,
  })
  return {
    name,
    configured: true,
    challenge: 'ApiKey realm="api"',
    missing: 'api-key-missing',
    discloses: config.discloseRequirements,
    hides: config.header,
    recall({ headers, waitUntil }, now) {
      const key = headers[config.header]
      return key !== undefined && API_KEY.test(key) ? cache.recall(key, now, waitUntil) : undefined
    },
    async authenticate(x) {
      const key = x.headers[config.header]
      if (key === undefined || key === '') return undefined
      return API_KEY.test(key) ? cache.check(key, clientNetwork(x) ?? '') : 'api-key-invalid'
    },
  }
}

const MAX_ENTRIES = 4096
const clientNetwork = compileRequestAttribute({ kind: 'ip' })

const REFUSALS = {
  unknown: 'api-key-invalid',
  expired: 'api-key-expired',
  revoked: 'api-key-revoked',
  unavailable: 'identity-unavailable',
} as const satisfies Record<string, ProblemCode>

function judge(provider: string, found: ApiKey | keyof typeof REFUSALS): Authenticated | ProblemCode {
  if (typeof found === 'string') return REFUSALS[found]
  const { id, owner, scopes, roles, tier, expiresAt } = found
  return {
    identity: {
      provider,
      issuer: API_KEY_ISSUER,
      subject: owner,
      scopes,
      roles,
      claims: { iss: API_KEY_ISSUER, sub: owner, key_id: id, ...(tier !== '' && { tier }) },
      keyId: id,
      ...(tier !== '' && { tier }),
    },
    validFrom: -Infinity,
    validUntil: expiresAt ?? Infinity,
    headers: undefined,
  }
}
