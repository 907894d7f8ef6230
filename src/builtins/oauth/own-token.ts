import { authenticatorOf } from '../../auth/authenticator.ts'
import { compileRevocationCheck } from '../../auth/revocation/revocation-check.ts'
import { selfProvider } from '../../auth/config/own-issuer.ts'
import type { Exchange, Identity } from '../../core/exchange.ts'
import { PROBLEMS, type ProblemCode } from '../../core/problem.ts'
import type { Platform } from '../../core/platform.ts'

/** What an access token of this gateway says, once verified; undefined for one that is over or revoked, and for any other text. */
export type ReadOwnToken = (token: string, x: Exchange) => Promise<Identity | 'unavailable' | undefined>

/** A token in a form is judged as one in a header is: by the provider with `"keys": "self"`. */
export function makeReadOwnToken(platform: Platform): ReadOwnToken {
  const authenticator = authenticatorOf(platform, selfProvider(platform.authProviders).name)
  const revocationOf = compileRevocationCheck(platform)
  return async (token, x) => {
    // What cannot stand in a header is no token.
    if (!/^[\w.-]+$/.test(token)) return undefined
    const found = await authenticator.authenticate({
      ...x,
      signal: x.signal,
      headers: { authorization: `Bearer ${token}` },
    })
    if (typeof found !== 'object') return refusalOf(found)
    const refusal = await revocationOf?.(found, x)
    return refusal === undefined ? found.identity : refusalOf(refusal)
  }
}

function refusalOf(code: ProblemCode | undefined): 'unavailable' | undefined {
  return code !== undefined && PROBLEMS[code][0] === 503 ? 'unavailable' : undefined
}
