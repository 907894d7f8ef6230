import { createServer } from 'node:http'
import { join } from 'node:path'
import { Agent, request, RetryAgent } from 'undici'
import { afterEach, expect, it } from 'vitest'
import { startGateway } from '../support/gateway.ts'
import { listen } from '../support/listen.ts'

interface Example {
  readonly makePacedFetch: () => (url: string) => Promise<Response>
  readonly readLimits: (headers: Headers) => { name: string; left: number; seconds: number }[]
}

const example = () => import(join(import.meta.dirname, '../../docs/examples/paced-client.mjs')) as Promise<Example>

const stops: (() => unknown)[] = []
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()))
})

const limit = { algorithm: 'token-bucket', limit: 2, window: '1s', key: ['client.ip'] }

/** A gateway that lets 2 requests a second through, by a local limiter and by a strict one. */
async function start() {
  const origin = await listen(createServer((_, response) => void response.end('ok')))
  const gateway = await startGateway({
    routes: {
      upstreams: { origin: { targets: [{ url: origin.url }] } },
      routes: [
        {
          id: 'all',
          match: { path: '/*' },
          upstream: 'origin',
          policies: {
            rateLimit: [
              { ...limit, name: 'here', consistency: 'local' },
              { ...limit, name: 'everywhere', algorithm: 'sliding-window' },
            ],
          },
        },
      ],
    },
  })
  stops.push(gateway.kill, origin.stop)
  return `${gateway.url}/a`
}

it('a client that goes by the RateLimit fields is never refused', async () => {
  const { makePacedFetch, readLimits } = await example()
  const url = await start()
  const pacedFetch = makePacedFetch()
  const answers = []
  for (let i = 0; i < 6; i++) answers.push(await pacedFetch(url))
  expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200))
  expect(readLimits(answers[0]!.headers)).toEqual([
    { name: 'here', left: 1, seconds: 1 },
    { name: 'everywhere', left: 1, seconds: 1 },
  ])
  const greedy = await Promise.all(Array.from({ length: 12 }, () => fetch(url)))
  expect(greedy.filter(({ status }) => status === 429).length).toBeGreaterThan(5)
})

it('a client library that knows 429 and Retry-After waits as long as it says, and is let in', async () => {
  const url = await start()
  const agent = new RetryAgent(new Agent(), { maxRetries: 1, statusCodes: [429] })
  stops.push(() => agent.close())
  const before = Date.now()
  for (let i = 0; i < 3; i++) {
    const { statusCode, body } = await request(url, { dispatcher: agent })
    await body.dump()
    expect(statusCode).toBe(200)
  }
  expect(Date.now() - before).toBeGreaterThan(450)
})
