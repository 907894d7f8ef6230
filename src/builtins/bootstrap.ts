import { createHash, timingSafeEqual } from 'node:crypto'
import * as z from 'zod/mini'
import { FIRST_ROLE } from '../config/builtin-check.ts'
import type { Exchange } from '../core/exchange.ts'
import { makeIdentityClient } from '../identity/client.ts'
import type { Handler } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import { problem } from '../core/problem.ts'
import { readChange } from './admin/change.ts'
import { jsonResponse, actorOf, resultOrProblem } from './admin/endpoint.ts'
import { accountName, password } from './admin/fields.ts'
import { userBody, hashNewPassword } from './admin/users.ts'

const BOOTSTRAP_TOKEN = 'UMBRAL_BOOTSTRAP_TOKEN'

/** Shorter ones could be guessed. */
const MIN_TOKEN_LENGTH = 32

const firstUser = z.strictObject({ username: accountName, password })

/**
 * Makes the first user, with the role `admin`, for whoever knows the secret UMBRAL_BOOTSTRAP_TOKEN; over for good as soon as there is any user, which
 * the store decides in the transaction that makes one. It is a route of its own, so that no exception stands in what guards admin.
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
    const passwordHash = await hashNewPassword(read.change.password, platform)
    if (passwordHash instanceof Response) return passwordHash
    const { username } = read.change
    const by = { ...actorOf(x), provider: 'bootstrap', issuer: '', subject: '' }
    const made = await identity.createFirstUser({ username, passwordHash, roles: [FIRST_ROLE] }, by)
    if (made === 'exists') return problem('bootstrap-over')
    const user = resultOrProblem(made, `user "${username}"`)
    return user instanceof Response ? user : jsonResponse(userBody(user), 201)
  }
}

/** Takes the same time for every wrong text: hashes are compared, and all of them are as long. */
function compileComparison(token: string): (found: string) => boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  const wanted = hash(token)
  return (found) => timingSafeEqual(hash(found), wanted)
}

function bearerOf({ request }: Exchange): string {
  return /^bearer +(.+)$/i.exec(request.headers.get('authorization') ?? '')?.[1] ?? ''
}
