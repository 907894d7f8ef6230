import * as z from 'zod/mini'
import type { User, UserChange } from '../../identity/types.ts'
import type { Platform } from '../../core/platform.ts'
import { readChange, makeSubjectRevocation } from './change.ts'
import {
  jsonResponse,
  type AdminHandler,
  type AdminEndpoint,
  actorOf,
  resultOrProblem,
  pageQuery,
  readQuery,
  pageBody,
} from './endpoint.ts'
import { accountName, email, password, rights, formatTime, text } from './fields.ts'
import { hashPassword } from '../../identity/password.ts'
import { problem } from '../../core/problem.ts'
import type { IdentityClient } from '../../identity/api.ts'

const profile = {
  email: z.exactOptional(z.nullable(email)),
  full_name: z.exactOptional(z.nullable(text)),
  disabled: z.exactOptional(z.boolean()),
  ...rights,
}
const newUser = z.strictObject({ username: accountName, password, ...profile })
const userChange = z.strictObject({ password: z.exactOptional(password), ...profile })

/** Users: who may log in with a password, and what for. Passwords go in and never come out. */
export function makeUserEndpoints(platform: Platform, identity: IdentityClient): AdminEndpoint[] {
  const cutoff = makeSubjectRevocation(platform)
  // Tokens say what their subject might do when they were issued: whoever may do something else, or is somebody else, has to get new ones.
  const cutoffOf = ({ passwordHash, disabled, roles, scopes }: UserChange) =>
    [passwordHash, disabled, roles, scopes].some((part) => part !== undefined) ? cutoff() : undefined

  const create: AdminHandler = async ({ x }) => {
    const read = await readChange(x, newUser)
    if (read instanceof Response) return read
    const { username, password: secret, ...fields } = read.change
    const passwordHash = await hashNewPassword(secret, platform)
    if (passwordHash instanceof Response) return passwordHash
    const user = { username, passwordHash, ...stored(fields) }
    const made = resultOrProblem(await identity.createUser(user, actorOf(x)), `user "${username}"`)
    return made instanceof Response ? made : jsonResponse(userBody(made), 201)
  }

  const change: AdminHandler = async ({ name, x }) => {
    const read = await readChange(x, userChange)
    if (read instanceof Response) return read
    const { password: secret, ...fields } = read.change
    const passwordHash = secret === undefined ? undefined : await hashNewPassword(secret, platform)
    if (passwordHash instanceof Response) return passwordHash
    const wanted = { ...stored(fields), ...(passwordHash !== undefined && { passwordHash }) }
    const changed = resultOrProblem(
      await identity.updateUser(name, wanted, actorOf(x), cutoffOf(wanted)),
      `user "${name}"`,
    )
    return changed instanceof Response ? changed : userBody(changed)
  }

  return [
    {
      path: 'users',
      handlers: {
        GET: async ({ query }) => {
          const ask = readQuery(query, pageQuery)
          if (ask instanceof Response) return ask
          const page = resultOrProblem(await identity.listUsers(ask), 'user')
          return page instanceof Response ? page : pageBody('users', page, userBody)
        },
        POST: create,
      },
    },
    {
      path: 'users/{username}',
      handlers: {
        GET: async ({ name }) => {
          const found = resultOrProblem(await identity.getUser(name), `user "${name}"`)
          return found instanceof Response ? found : userBody(found)
        },
        PATCH: change,
        DELETE: async ({ name, x }) => {
          const gone = resultOrProblem(await identity.removeUser(name, actorOf(x), cutoff()), `user "${name}"`)
          return gone instanceof Response ? gone : { username: name, removed: true }
        },
      },
    },
  ]
}

type Fields = z.output<typeof userChange>

/** The fields by the names that the store has for them. */
function stored({ full_name: fullName, ...rest }: Omit<Fields, 'password'>) {
  return { ...rest, ...(fullName !== undefined && { fullName }) }
}

/** A user as answers show it. */
export function userBody({ fullName, createdAt, updatedAt, ...user }: User): object {
  return {
    ...user,
    email: user.email ?? null,
    full_name: fullName ?? null,
    created_at: formatTime(createdAt),
    updated_at: formatTime(updatedAt),
  }
}

/** A new password as the store takes it; 503 when too many wait for that in this isolate, logins among them. */
export async function hashNewPassword(password: string, platform: Pick<Platform, 'now'>): Promise<string | Response> {
  const hash = await hashPassword(password, platform)
  return hash === 'busy' ? problem('login-busy', { headers: { 'retry-after': '1' } }) : hash
}
