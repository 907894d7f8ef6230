import { ownKeysOf } from '../../identity/signing-key-cache.ts'
import type { Handler } from '../../core/pipeline.ts'
import { problem } from '../../core/problem.ts'
import type { Platform } from '../../core/platform.ts'
import { compileEndpoint } from './endpoint.ts'

/** The next key is published long before it signs; a key that leaked and was replaced is still believed for so long elsewhere. */
const MAX_AGE_SECONDS = 300

/** The public keys of the tokens that this gateway issues (RFC 7517 §5). */
export function makeJwksEndpoint(platform: Platform): Handler {
  const ownKeys = ownKeysOf(platform)
  return compileEndpoint('GET', async () => {
    const keys = await ownKeys()
    if (keys === undefined) return problem('state-unavailable', { headers: { 'retry-after': '1' } })
    return Response.json(
      { keys: keys.published },
      { headers: { 'cache-control': `public, max-age=${MAX_AGE_SECONDS}` } },
    )
  })
}
