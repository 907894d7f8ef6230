import { env } from 'cloudflare:workers'

/** Starts a Redis behind Upstash's protocol for one test alone, which may stop or kill it; it ends with the test run. */
export async function startRedis(): Promise<{ url: string; token: string; redisPid: number }> {
  const response = await fetch(`${env.TEST_UPSTASH_CONTROL_URL}/start`, { method: 'POST' })
  if (!response.ok) throw new Error(await response.text())
  return response.json()
}

export async function signalRedis(redisPid: number, signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): Promise<void> {
  const response = await fetch(`${env.TEST_UPSTASH_CONTROL_URL}/signal/${signal}/${redisPid}`, { method: 'POST' })
  if (!response.ok) throw new Error(await response.text())
}
