import { createHash, timingSafeEqual } from 'node:crypto'
import * as z from 'zod/mini'
import { FIRST_ROLE } from '../config/builtin-check.ts'
import type { Exchange } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import { problem } from '../core/problem.ts'
import { makeIdentityClient } from '../identity/client.ts'
import { readChange } from './admin/change.ts'
import { actorOf, jsonResponse, resultOrProblem } from './admin/endpoint.ts'
import { accountName, password } from './admin/fields.ts'
import { hashNewPassword, userBody } from './admin/users.ts'

const BOOTSTRAP_TOKEN = 'UMBRAL_BOOTSTRAP_TOKEN'

/** A shorter token could be guessed. */
const MIN_TOKEN_LENGTH = 32

const firstUser = z.strictObject({ username: accountName, password })

/**
 * Creates the first user, with the role `admin`, for a caller with the secret UMBRAL_BOOTSTRAP_TOKEN. Disabled for good once the store has or had
 * a user, which the store checks in the transaction that creates one. It is a separate route, so that the policies of `admin` need no exception.
 */
export function makeBootstrap(platform: Platform): Handler {
  const identity = makeIdentityClient(platform.identityStore)
  const token = platform.variable(BOOTSTRAP_TOKEN)
  if (token === undefined || token.length < MIN_TOKEN_LENGTH) return async () => problem('not-configured')
  const isToken = compileComparison(token)
  return async (x) => {
    if (!isToken(bearerOf(x))) return problem('bootstrap-refused', { headers: { 'www-authenticate': 'Bearer' } })
    const read = await readChange(x, firstUser)
    if (read instanceof Response) return read
    const passwordHash = await hashNewPassword(read.value.password, platform)
    if (passwordHash instanceof Response) return passwordHash
    const { username } = read.value
    const by = { ...actorOf(x), provider: 'bootstrap', issuer: '', subject: '' }
    const created = await identity.createFirstUser({ username, passwordHash, roles: [FIRST_ROLE] }, by)
    if (created === 'exists') return problem('bootstrap-over')
    const user = resultOrProblem(created, `user "${username}"`)
    return user instanceof Response ? user : jsonResponse(userBody(user), 201)
  }
}

/** Compiles a comparison in constant time: it compares hashes, which have the same length. */
function compileComparison(token: string): (text: string) => boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  const expectedHash = hash(token)
  return (text) => timingSafeEqual(hash(text), expectedHash)
}

function bearerOf({ request }: Exchange): string {
  return /^bearer +(.+)$/i.exec(request.headers.get('authorization') ?? '')?.[1] ?? ''
}
