import * as z from 'zod/mini'
import type { Platform } from '../../core/platform.ts'
import { problem } from '../../core/problem.ts'
import type { IdentityClient } from '../../identity/api.ts'
import { hashPassword } from '../../identity/password.ts'
import type { SubjectRevocation, User, UserChange } from '../../identity/types.ts'
import { makeSubjectRevocation, readChange } from './change.ts'
import {
  actorOf,
  jsonResponse,
  makeListHandler,
  pageQuery,
  resultOrProblem,
  type AdminEndpoint,
  type AdminHandler,
} from './endpoint.ts'
import { accountName, email, formatTime, password, rights, text } from './fields.ts'

const profile = {
  email: z.exactOptional(z.nullable(email)),
  full_name: z.exactOptional(z.nullable(text)),
  disabled: z.exactOptional(z.boolean()),
  ...rights,
}
const newUser = z.strictObject({ username: accountName, password, ...profile })
const userChange = z.strictObject({ password: z.exactOptional(password), ...profile })

/** The endpoints of users. No response contains a password or its hash. */
export function makeUserEndpoints(platform: Platform, identity: IdentityClient): AdminEndpoint[] {
  const tokensSoFar = makeSubjectRevocation(platform)
  return [
    {
      path: 'users',
      handlers: {
        GET: makeListHandler('users', pageQuery, (request) => identity.listUsers(request), userBody),
        POST: makeCreateUser(platform, identity),
      },
    },
    {
      path: 'users/{username}',
      handlers: {
        GET: async ({ name }) => {
          const found = resultOrProblem(await identity.getUser(name), `user "${name}"`)
          return found instanceof Response ? found : userBody(found)
        },
        PATCH: makeUpdateUser(platform, identity, tokensSoFar),
        DELETE: async ({ name, x }) => {
          const removed = resultOrProblem(await identity.removeUser(name, actorOf(x), tokensSoFar()), `user "${name}"`)
          return removed instanceof Response ? removed : { username: name, removed: true }
        },
      },
    },
  ]
}

function makeCreateUser(platform: Platform, identity: IdentityClient): AdminHandler {
  return async ({ x }) => {
    const read = await readChange(x, newUser)
    if (read instanceof Response) return read
    const { username, password: secret, ...fields } = read.value
    const passwordHash = await hashNewPassword(secret, platform)
    if (passwordHash instanceof Response) return passwordHash
    const user = { username, passwordHash, ...storeFields(fields) }
    const created = resultOrProblem(await identity.createUser(user, actorOf(x)), `user "${username}"`)
    return created instanceof Response ? created : jsonResponse(userBody(created), 201)
  }
}

function makeUpdateUser(
  platform: Platform,
  identity: IdentityClient,
  tokensSoFar: () => SubjectRevocation,
): AdminHandler {
  // A token contains the rights of its subject when it was issued. A change of the rights or of the password therefore revokes the tokens so far.
  const revocationOf = ({ passwordHash, disabled, roles, scopes }: UserChange) =>
    [passwordHash, disabled, roles, scopes].some((field) => field !== undefined) ? tokensSoFar() : undefined
  return async ({ name, x }) => {
    const read = await readChange(x, userChange)
    if (read instanceof Response) return read
    const { password: secret, ...fields } = read.value
    const passwordHash = secret === undefined ? undefined : await hashNewPassword(secret, platform)
    if (passwordHash instanceof Response) return passwordHash
    const change = { ...storeFields(fields), ...(passwordHash !== undefined && { passwordHash }) }
    const updated = await identity.updateUser(name, change, actorOf(x), revocationOf(change))
    const user = resultOrProblem(updated, `user "${name}"`)
    return user instanceof Response ? user : userBody(user)
  }
}

type Fields = z.output<typeof userChange>

/** The fields by their names in the store. */
function storeFields({ full_name: fullName, ...rest }: Omit<Fields, 'password'>) {
  return { ...rest, ...(fullName !== undefined && { fullName }) }
}

/** A user as in responses. */
export function userBody({ fullName, createdAt, updatedAt, ...user }: User): object {
  return {
    ...user,
    email: user.email ?? null,
    full_name: fullName ?? null,
    created_at: formatTime(createdAt),
    updated_at: formatTime(updatedAt),
  }
}

/** The hash of a new password, or a 503 response when all slots for hashing in this isolate are reserved, by logins too. */
export async function hashNewPassword(password: string, platform: Pick<Platform, 'now'>): Promise<string | Response> {
  const hash = await hashPassword(password, platform)
  return hash === 'busy' ? problem('login-busy', { headers: { 'retry-after': '1' } }) : hash
}
