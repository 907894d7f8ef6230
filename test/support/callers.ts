import { Agent, request, type IncomingHttpHeaders } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** What one caller saw. */
export interface Answer {
  /** 0 when the connection ended before there was one. */
  readonly status: number
  /** The gateway's own code, where it refused. */
  readonly code: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** Whether the body came to its end. */
  readonly isWhole: boolean
  /** When it was asked, epoch milliseconds. */
  readonly at: number
  /** Milliseconds to the end of the answer, in fractions. */
  readonly ms: number
}

export interface CallOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export type Call = (path: string, options?: CallOptions) => Promise<Answer>

export interface Callers {
  /** Never rejects, never repeats and never follows. */
  readonly call: Call
  readonly stop: () => void
}

/** Callers of the gateway at `url`, who keep their connections, as many as it takes. */
export function startCallers(url: string): Callers {
  // An idle connection is given up here before the gateway gives it up, so that no request meets a closing one.
  const agent = new Agent({ keepAlive: true, timeout: 2_000 })
  const call: Call = (path, { method = 'GET', headers = {}, body } = {}) =>
    new Promise((resolve) => {
      const at = Date.now()
      const started = performance.now()
      let seen: Pick<Answer, 'status' | 'headers' | 'body'> = { status: 0, headers: {}, body: '' }
      const finish = (isWhole: boolean) =>
        resolve({ ...seen, code: codeOf(seen), isWhole, at, ms: performance.now() - started })
      const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
      const sent = request(url + path, { agent, method, headers: { ...headers, ...length } }, (response) => {
        seen = { status: response.statusCode!, headers: response.headers, body: '' }
        response.setEncoding('latin1').on('data', (text: string) => (seen = { ...seen, body: seen.body + text }))
        response.on('error', () => {}).on('close', () => finish(response.complete))
      })
      sent.on('error', () => seen.status === 0 && finish(false)).end(body)
    })
  return { call, stop: () => agent.destroy() }
}

function codeOf({ headers, body }: Pick<Answer, 'headers' | 'body'>): string | undefined {
  if (headers['content-type'] !== 'application/problem+json') return undefined
  return (JSON.parse(body) as { code: string }).code
}

/** An open loop: `perSecond` calls a second for `seconds`, whether earlier ones have been answered or not. */
export async function pace<T>(perSecond: number, seconds: number, fire: (nth: number) => Promise<T>): Promise<T[]> {
  const answers: Promise<T>[] = []
  const started = performance.now()
  const total = Math.round(perSecond * seconds)
  while (answers.length < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - started) * perSecond) / 1_000))
    while (answers.length < due) answers.push(fire(answers.length))
    await sleep(1)
  }
  return Promise.all(answers)
}

/** A closed loop: `total` calls, `width` of them at a time. */
export async function crowd<T>(width: number, total: number, fire: (nth: number) => Promise<T>): Promise<T[]> {
  const answers: T[] = []
  let next = 0
  const one = async () => {
    while (next < total) {
      const nth = next++
      answers[nth] = await fire(nth)
    }
  }
  await Promise.all(Array.from({ length: width }, one))
  return answers
}

/** How many answers had each status, or each of the gateway's own codes: `{ 200: 3, 'circuit-open': 1 }`. */
export function tally(answers: readonly Pick<Answer, 'status' | 'code'>[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { status, code } of answers) {
    const key = code ?? String(status)
    counts[key] = (counts[key] ?? 0) + 1
  }
  return counts
}
