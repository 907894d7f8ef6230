import { createServer } from 'node:http'
import { startUpstash, type Upstash } from '../../dev/upstash/server.ts'
import { listen } from './listen.ts'

export interface UpstashControl {
  readonly url: string
  readonly stop: () => Promise<void>
}

/**
 * Lets tests inside workerd have a Redis of their own, which they may hurt: `POST /start` answers `{ url, token, redisPid }`;
 * `POST /signal/SIGSTOP/<redisPid>` sends that signal to a Redis that was started here.
 */
export async function startUpstashControl(): Promise<UpstashControl> {
  const started = new Map<number, Upstash>()
  const server = createServer((request, response) => {
    const [, verb, signal, pid] = (request.url ?? '').split('/')
    const act = async () => {
      if (verb === 'start') {
        const upstash = await startUpstash()
        started.set(upstash.redisPid, upstash)
        return { url: upstash.url, token: upstash.token, redisPid: upstash.redisPid }
      }
      if (!started.has(Number(pid))) throw new Error('not a Redis of this test run')
      return { sent: process.kill(Number(pid), signal as NodeJS.Signals) }
    }
    act()
      .then((body) => response.end(JSON.stringify(body)))
      .catch((error: unknown) => response.writeHead(500).end(String(error)))
  })
  const { url, stop } = await listen(server)
  return {
    url,
    stop: async () => {
      await stop()
      await Promise.all(Array.from(started.values(), (upstash) => upstash.stop()))
    },
  }
}
