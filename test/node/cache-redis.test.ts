import { createServer, get, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startFaultyUpstash, type FaultyUpstash } from '../support/faulty-upstash.ts'
import { listen } from '../support/listen.ts'
import { runWorker, type RunningWorker } from '../support/run-worker.ts'

const MIB = 1024 ** 2
const STORE_TIMEOUT_MS = 100
/** What a crowded machine may add; far below what it would be if each request waited. */
const SLACK_MS = 700

const bodyOf = (path: string, size: number) => Buffer.alloc(size, `${path} `)
const ZIPPED = gzipSync(bodyOf('zip', 300_000))

/** `/N/…` is N bytes that name their path; the others are named for how they go wrong. */
async function startOrigin() {
  const asked: string[] = []
  let held: ServerResponse | undefined
  const server = createServer((request, response) => {
    const path = request.url!
    asked.push(path)
    const [, verb] = path.split('/')
    if (verb === 'reset') {
      response.writeHead(200, { 'content-length': 100_000 }).write(bodyOf(path, 50_000))
      setTimeout(() => response.destroy(), 20)
    } else if (verb === 'unfinished') {
      response.writeHead(200).write(bodyOf(path, 50_000))
      setTimeout(() => response.destroy(), 20)
    } else if (verb === 'held') {
      response.writeHead(200, { 'content-length': 200_000 }).write(bodyOf(path, 100_000))
      held = response
    } else if (verb === 'zip') {
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': ZIPPED.length }).end(ZIPPED)
    } else response.writeHead(200, { 'content-length': Number(verb) }).end(bodyOf(path, Number(verb)))
  })
  const { url, stop } = await listen(server)
  const release = () => held?.end(bodyOf('rest', 100_000))
  return { url, stop, release, askedFor: (path: string) => asked.filter((one) => one === path).length }
}

interface Answer {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly isWhole: boolean
}

function ask(worker: RunningWorker, path: string, onData: (bytes: number, leave: () => void) => void = () => {}) {
  return new Promise<Answer>((resolve, reject) => {
    const sent = get(worker.url + path, { headers: { 'accept-encoding': 'gzip' } }, (response) => {
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('error', () => {})
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        onData((bytes += chunk.length), () => sent.destroy())
      })
      response.on('close', () =>
        resolve({ headers: response.headers, body: Buffer.concat(chunks), isWhole: response.complete }),
      )
    })
    sent.on('error', reject)
  })
}

async function isInRedis(path: string): Promise<boolean> {
  const response = await fetch(upstash.url, {
    method: 'POST',
    body: JSON.stringify(['EXISTS', `umbral:cache:${path}`]),
  })
  return ((await response.json()) as { result: number }).result === 1
}

const tierOf = async (worker: RunningWorker, path: string) => (await ask(worker, `/kept${path}`)).headers['x-tier']

let origin: Awaited<ReturnType<typeof startOrigin>>
let upstash: FaultyUpstash
/** Two processes that share nothing but Redis, as two data centres. */
let here: RunningWorker
let there: RunningWorker

beforeAll(async () => {
  ;[origin, upstash] = await Promise.all([startOrigin(), startFaultyUpstash()])
  const variables = {
    ORIGIN: origin.url,
    UPSTASH_REDIS_REST_URL: upstash.url,
    UPSTASH_REDIS_REST_TOKEN: upstash.token,
  }
  const file = join(import.meta.dirname, '../support/tiers-worker.ts')
  ;[here, there] = await Promise.all([runWorker(file, { variables }), runWorker(file, { variables })])
})

afterAll(() => Promise.all([here.stop(), there.stop(), origin.stop(), upstash.stop()]))

describe('two processes that share a Redis', () => {
  /** Each way that an answer can come, in turn: from the origin, here and there. */
  async function askEverywhere(path: string): Promise<Answer[]> {
    const first = await ask(here, path)
    await expect.poll(() => isInRedis(path)).toBe(true)
    await expect.poll(() => tierOf(here, path)).toBe('edge')
    const [near, far] = [await ask(here, path), await ask(there, path)]
    await expect.poll(() => tierOf(there, path)).toBe('edge')
    const answers = [first, near, far, await ask(there, path)]
    expect(answers.map(({ headers }) => headers['x-tier'])).toEqual(['none', 'edge', 'redis', 'edge'])
    expect(origin.askedFor(path)).toBe(1)
    return answers
  }

  // Where the machine is too busy for Redis to answer in its time, the origin does: then another path has to show it.
  const BUSY = { retry: 3 }
  let nth = 0

  it('answer with the same bytes and the same length from origin, edge and Redis', BUSY, async () => {
    const path = `/30000/shared-${nth++}`
    for (const { body, headers } of await askEverywhere(path)) {
      expect(body.equals(bodyOf(path, 30_000))).toBe(true)
      expect(headers['content-length']).toBe('30000')
    }
  })

  it('leave compressed bodies as they are', BUSY, async () => {
    for (const { body, headers } of await askEverywhere(`/zip/${nth++}`)) {
      expect([headers['content-encoding'], body.equals(ZIPPED)]).toEqual(['gzip', true])
    }
  })

  it('share up to 1 MiB; what is larger each keeps for itself', async () => {
    const size = 8 * MIB - 64 * 1024
    const path = `/${size}/large`
    await ask(here, path)
    await expect.poll(() => tierOf(here, path)).toBe('edge')
    expect(await tierOf(there, path)).toBe('none')
    const again = await ask(here, path)
    expect([again.headers['x-tier'], again.body.equals(bodyOf(path, size))]).toEqual(['edge', true])
  })
})

describe('a body on its way', () => {
  it('reaches the client before the origin has ended it', async () => {
    const answer = await ask(here, '/held/streamed', (bytes) => bytes === 100_000 && origin.release())
    expect([answer.isWhole, answer.body.length]).toEqual([true, 200_000])
    await expect.poll(() => tierOf(here, '/held/streamed')).toBe('edge')
  })

  it.each(['/reset/a', '/unfinished/a'])(
    '%s, which the origin cuts off, is cut off for the client and never stored',
    async (path) => {
      for (const times of [1, 2]) {
        expect((await ask(here, path)).isWhole).toBe(false)
        expect(origin.askedFor(path)).toBe(times)
        expect([await tierOf(here, path), await tierOf(there, path)]).toEqual(['none', 'none'])
      }
    },
  )

  it('that its client leaves is not stored, and no harm to the next', async () => {
    const path = '/held/left'
    const left = await ask(here, path, (_, leave) => leave())
    expect(left.isWhole).toBe(false)
    origin.release()
    expect(await tierOf(here, path)).toBe('none')
    const next = await ask(here, path, (bytes) => bytes === 100_000 && origin.release())
    expect([next.isWhole, next.body.length]).toEqual([true, 200_000])
  })
})

describe('Redis that dies in mid-run', () => {
  const PATHS = Array.from({ length: 10 }, (_, nth) => `/20000/path-${nth}`)

  /** Each path twice, at both, and two more that are new, in turn; how long the tiers took to answer, milliseconds. */
  async function run(name: string): Promise<number[]> {
    const waits: number[] = []
    for (const path of [...PATHS, ...PATHS, `/20000/${name}-1`, `/20000/${name}-2`]) {
      for (const worker of [here, there]) {
        const { body, headers, isWhole } = await ask(worker, path)
        expect(isWhole && body.equals(bodyOf(path, 20_000)) && headers['content-length'] === '20000').toBe(true)
        waits.push(Number(headers['x-read-ms']))
      }
    }
    return waits
  }

  /** Each may wait once, and three waits in a row are all that one process spends on a store that is dead. */
  function expectBounded(waits: readonly number[]): void {
    expect(Math.max(...waits)).toBeLessThan(STORE_TIMEOUT_MS + SLACK_MS)
    const total = waits.reduce((sum, wait) => sum + wait, 0)
    expect(total).toBeLessThan(2 * 3 * STORE_TIMEOUT_MS + SLACK_MS)
  }

  it.each([
    ['hung', () => void process.kill(upstash.redisPid(), 'SIGSTOP')],
    ['gone', () => void process.kill(upstash.redisPid(), 'SIGKILL')],
  ])('changes no byte and no wait by more than its timeout when it is %s', async (name, hurt) => {
    await run(`${name}-before`)
    hurt()
    // New paths are asked of Redis before they are asked of the origin; so are all in a process that has just started.
    PATHS.push(...Array.from({ length: 10 }, (_, nth) => `/20000/${name}-${nth}`))
    expectBounded(await run(`${name}-after`))
    await upstash.restart()
    await expect
      .poll(
        async () => {
          const path = `/20000/${crypto.randomUUID()}`
          await ask(here, path)
          return ask(there, path).then(({ headers }) => headers['x-tier'])
        },
        { timeout: 10_000, interval: 100 },
      )
      .toBe('redis')
  })
})
