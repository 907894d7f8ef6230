import { env } from 'cloudflare:workers'

export interface TestRedis {
  readonly url: string
  readonly token: string
  readonly redisPid: number
  readonly id: number
}

async function control<T>(...path: (string | number)[]): Promise<T> {
  const url = [env.TEST_UPSTASH_CONTROL_URL, ...path.map((part) => encodeURIComponent(part))].join('/')
  const response = await fetch(url, { method: 'POST' })
  if (!response.ok) throw new Error(await response.text())
  return response.json()
}

/** Starts a Redis behind Upstash's protocol for one test alone, which may stop or kill it; it ends with the test run. */
export const startRedis = (): Promise<TestRedis> => control('start')

export const signalRedis = (redisPid: number, signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): Promise<void> =>
  control('signal', signal, redisPid)

/** Makes it answer as named in faults.ts; `none`: as Redis does. */
export const setFault = ({ id }: TestRedis, fault: string): Promise<number> => control('fault', fault, id)

/** Kills it and starts an empty one at the same address. */
export const restartRedis = ({ id }: TestRedis): Promise<number> => control('restart', '-', id)

/** How many requests have come since its start. */
export const countAsked = ({ id }: TestRedis): Promise<number> => control('asked', '-', id)

/** Sends one command; answers its result. */
export async function command({ url, token }: Pick<TestRedis, 'url' | 'token'>, ...parts: (string | number)[]) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(parts) })
  const { result, error } = await response.json<{ result?: unknown; error?: string }>()
  if (error !== undefined) throw new Error(error)
  return result
}
