import type { IntrospectionProviderConfig } from './config/introspection.ts'
import { isDocumentUrl, resolveUrl } from '../config/schema/scalars.ts'
import { readText } from '../lib/body.ts'
import type { Platform } from '../core/platform.ts'
import { makeAnswers } from './credential-cache.ts'
import type { Authenticator } from './authenticator.ts'
import { BEARER_CHALLENGE, bearerToken, isBearerToken } from './bearer.ts'
import { compileIntrospected, parseIntrospected } from './introspected.ts'

const MAX_ENTRIES = 4096
const MAX_BYTES = 64 * 1024
const MAX_TOKEN_CHARS = 8 * 1024

/** A provider of type `introspection`: bearer tokens that their issuer is asked about (RFC 7662). Its answers are remembered. */
export function makeIntrospection(
  name: string,
  config: IntrospectionProviderConfig,
  platform: Platform,
): Authenticator {
  const url = resolveUrl(config.url, platform.variable, isDocumentUrl)
  const secret = platform.secret(config.clientSecret)
  const configured = url !== undefined && secret !== undefined
  const judge = configured ? compileIntrospected(name, config, url) : undefined
  const answers = makeAnswers({
    async ask(token) {
      if (!judge) return 'not-configured'
      const found = await introspect(
        token,
        url!,
        basicCredentials(config.clientId, secret!),
        config.timeout,
        platform.fetch,
      )
      return found === undefined ? 'introspection-unavailable' : judge(found, platform.now())
    },
    unavailable: 'introspection-unavailable',
    ttlMs: config.cacheTtl,
    maxEntries: MAX_ENTRIES,
    now: platform.now,
  })
  return {
    name,
    configured,
    challenge: BEARER_CHALLENGE,
    missing: 'token-missing',
    discloses: config.discloseRequirements,
    hides: undefined,
    recall(x, now) {
      const token = bearerToken(x)
      return token === undefined ? undefined : answers.recall(token, now, x.waitUntil)
    },
    async authenticate(x) {
      const token = bearerToken(x)
      if (token === undefined) return undefined
      if (!configured) return 'not-configured'
      if (!isBearerToken(token)) return 'bearer-malformed'
      return token.length <= MAX_TOKEN_CHARS ? answers.ask(token) : 'token-malformed'
    },
  }
}

/** The issuer's answer; undefined when there is none: network, timeout, a redirect, another status than 200, too large, no JSON object. */
async function introspect(
  token: string,
  url: string,
  authorization: string,
  timeoutMs: number,
  fetch: Platform['fetch'],
): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { accept: 'application/json', authorization },
      body: new URLSearchParams({ token, token_type_hint: 'access_token' }),
      // Followed, a redirect would hand the token and the gateway's password to whoever controls one page of the issuer's host.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    })
    if (response.status === 200) return parseIntrospected(await readText(response, MAX_BYTES))
    await response.body?.cancel()
    return undefined
  } catch {
    return undefined
  }
}

/** RFC 6749 §2.3.1: both parts are form-encoded before they are put together. */
function basicCredentials(id: string, secret: string): string {
  const encoded = (text: string) => new URLSearchParams({ '': text }).toString().slice(1)
  return `Basic ${btoa(`${encoded(id)}:${encoded(secret)}`)}`
}
