import { hashPassword } from '../../identity/password.ts'
import type { Platform } from '../../core/platform.ts'
import { problem } from '../../core/problem.ts'

/** A new password as the store takes it; 503 when too many wait for that in this isolate, logins among them. */
export async function hashed(password: string, platform: Pick<Platform, 'now'>): Promise<string | Response> {
  const hash = await hashPassword(password, platform)
  return hash === 'busy' ? problem('login-busy', { headers: { 'retry-after': '1' } }) : hash
}
