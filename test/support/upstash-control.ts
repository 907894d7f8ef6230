import { createServer } from 'node:http'
import { STORE_FAULTS } from './faults.ts'
import { startFaultyUpstash, type FaultyUpstash } from './faulty-upstash.ts'
import { listen } from './listen.ts'

export interface UpstashControl {
  readonly url: string
  readonly stop: () => Promise<void>
}

/**
 * Lets tests inside workerd have a Redis of their own, which they may hurt: `POST /start` answers `{ url, token, redisPid, id }`;
 * `/signal/SIGSTOP/<redisPid>` sends that signal to a Redis that was started here; `/fault/<name>/<id>` makes it answer so (`none`: as
 * Redis does); `/restart/-/<id>` puts an empty Redis in its place; `/asked/-/<id>` says how many requests have come.
 */
export async function startUpstashControl(): Promise<UpstashControl> {
  const started: FaultyUpstash[] = []
  const server = createServer((request, response) => {
    act((request.url ?? '').split('/').slice(1).map(decodeURIComponent), started)
      .then((body) => response.end(JSON.stringify(body)))
      .catch((error: unknown) => response.writeHead(500).end(String(error)))
  })
  const { url, stop } = await listen(server)
  return {
    url,
    stop: async () => {
      await stop()
      await Promise.all(started.map((upstash) => upstash.stop()))
    },
  }
}

async function act([verb, what, whom]: string[], started: FaultyUpstash[]): Promise<unknown> {
  if (verb === 'start') {
    const upstash = await startFaultyUpstash()
    const id = started.push(upstash) - 1
    return { url: upstash.url, token: upstash.token, redisPid: upstash.redisPid(), id }
  }
  if (verb === 'signal') {
    if (!started.some(({ redisPid }) => redisPid() === Number(whom))) throw new Error('not a Redis of this test run')
    return process.kill(Number(whom), what as NodeJS.Signals)
  }
  const upstash = started[Number(whom)]!
  if (verb === 'restart') {
    await upstash.restart()
    return upstash.redisPid()
  }
  if (verb === 'fault') {
    const fault = STORE_FAULTS.find((name) => name === what)
    if (fault === undefined && what !== 'none') throw new Error(`no fault "${what}"`)
    upstash.setFault(fault)
  }
  return upstash.asked()
}
