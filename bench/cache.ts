import { createServer, type AddressInfo, type Server } from 'node:net'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { measure } from './compare.ts'
import { needProgram, pinThisProcess } from './load.ts'
import { atMost, printFigures, single, spread, type Figure } from './statistics.ts'
import { makeBench, startPolicySet, type Bench, type Subject } from './subjects.ts'

/**
 * `npm run bench:cache -- [--rounds 9] [--seconds 1]`: what a hit of the edge cache costs, against a proxied request without cache (to an
 * origin that responds at once) and against a request to an origin that takes 5 ms.
 */
const ORIGIN_MS = 5
const BUSY = 32

interface SlowOrigin {
  readonly url: string
  readonly requestCount: () => number
  readonly stop: () => void
}

/** Sends after 5 ms the response that the bench's own origin sends at once. */
async function startSlowOrigin(): Promise<SlowOrigin> {
  const body = JSON.stringify({ id: '42', name: 'Ada Lovelace', email: 'ada@example.com', tags: ['a', 'b', 'c'] })
  const response = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  let requests = 0
  const server: Server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk) => {
      // wrk and workerd send the next request after the response to the previous one.
      if (!chunk.toString('latin1').endsWith('\r\n\r\n')) return
      requests++
      setTimeout(() => socket.write(response), ORIGIN_MS)
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, requestCount: () => requests, stop: () => void server.close().unref() }
}

/** Waits for the first hit. Throws after 100 misses, because a miss would be measured as a hit. */
async function proveHits({ url }: Subject): Promise<void> {
  const first = await fetch(url)
  const body = await first.text()
  for (let tries = 0; tries < 100; tries++) {
    const again = await fetch(url)
    const same = (await again.text()) === body
    if (same && /\bhit\b/.test(again.headers.get('cache-status') ?? '')) return
  }
  throw new Error(`the cache never had a hit: ${first.headers.get('cache-status')}`)
}

async function measureHits(bench: Bench, slow: SlowOrigin, rounds: number, seconds: number): Promise<Figure[]> {
  const plain = await startPolicySet(bench, 'bare')
  const cached = await startPolicySet({ ...bench, origin: { ...bench.origin, url: slow.url } }, 'cache')
  const direct = { ...plain, url: `${slow.url}/users/42`, pid: undefined }
  try {
    await proveHits(cached)
    for (const subject of [plain, cached]) await measure(subject, {}, BUSY, seconds)
    const before = slow.requestCount()
    let directRequests = 0
    const found = { cpu: [] as number[], ratio: [] as number[], hitUs: [] as number[], directUs: [] as number[] }
    for (let round = 1; round <= rounds; round++) {
      process.stderr.write(`round ${round} of ${rounds}\n`)
      const [proxied, hit] = [await measure(plain, {}, BUSY, seconds), await measure(cached, {}, BUSY, seconds)]
      found.cpu.push(hit.cpuUs)
      found.ratio.push(hit.cpuUs / proxied.cpuUs)
      found.hitUs.push((await measure(cached, {}, 1, seconds)).p50Us)
      const beforeDirect = slow.requestCount()
      found.directUs.push((await measure(direct, {}, 1, seconds)).p50Us)
      directRequests += slow.requestCount() - beforeDirect
    }
    const directUs = spread(found.directUs)
    return [
      { name: 'CPU of a hit', value: spread(found.cpu), unit: 'µs' },
      { name: 'CPU, hit to proxied', value: spread(found.ratio), unit: '×', target: atMost(1, ' ×') },
      { name: `p50, origin of ${ORIGIN_MS} ms`, value: directUs, unit: 'µs' },
      { name: 'p50, hit', value: spread(found.hitUs), unit: 'µs', target: atMost(directUs.median, ' µs') },
      {
        name: 'origin requests of hits',
        value: single(slow.requestCount() - before - directRequests),
        unit: '',
        target: atMost(0),
      },
    ]
  } finally {
    await Promise.all([plain.stop(), cached.stop()])
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { rounds: { type: 'string', default: '9' }, seconds: { type: 'string', default: '1' } },
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  needProgram('wrk')
  pinThisProcess()
  console.log(`Node ${process.version}, ${cpus().length} cores`)
  const [bench, slow] = await Promise.all([makeBench(), startSlowOrigin()])
  try {
    const figures = await measureHits(bench, slow, Number(values.rounds), Number(values.seconds))
    printFigures('A hit of the edge cache: median of the rounds [least – most]', figures)
  } finally {
    bench.origin.stop()
    slow.stop()
  }
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
