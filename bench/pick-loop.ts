import * as z from 'zod/mini'
import type { Exchange } from '../src/core/exchange.ts'
import { makeBalancer } from '../src/upstream/balancing/balance.ts'
import { upstream as upstreamSchema } from '../src/upstream/config.ts'
import { makeTargets } from '../src/upstream/target.ts'

/**
 * Prints the nanoseconds that it takes to pick one of N targets: `node bench/pick-loop.ts STRATEGY N [ITERATIONS] [out]`. With `out`
 * one target is ejected. Each strategy runs in a separate process, so that it does not profit from the engine's optimizations for another.
 */
const [strategy = 'round-robin', count = '3', times = '5000000', state] = process.argv.slice(2)
const config = z.parse(upstreamSchema, {
  targets: Array.from({ length: Number(count) }, (_, i) => ({ url: `http://10.0.0.${i}:80`, weight: 1 + (i % 3) })),
  loadBalancing: strategy,
  ...(strategy === 'hash' && { hashOn: 'client.ip' }),
})
const targets = makeTargets('bench', config.targets, () => undefined)
for (const [i, target] of targets.entries()) {
  target.inFlight = i % 3
  const { latencyEwma } = target
  latencyEwma.ms = 5 + i
  latencyEwma.updatedAt = Date.now()
  latencyEwma.waiting = i % 3
  latencyEwma.sentAt = Date.now() * (i % 3)
}
if (state === 'out') targets[0]!.outlierState = { state: 'ejected', ejections: 1, since: Date.now(), ms: 300_000 }
const now = Date.now()
const { pick } = makeBalancer(targets, config, { now: () => now, random: Math.random })
const exchanges = Array.from({ length: 1024 }, (_, i) => ({
  attempts: 0,
  route: `route-${i & 7}`,
  client: { ip: `198.51.${i >> 8}.${i & 255}` },
}))

pickAll(500_000)
// Processor time, so that other programs do not count.
const before = process.cpuUsage()
pickAll(Number(times))
const { user, system } = process.cpuUsage(before)
console.log(((1_000 * (user + system)) / Number(times)).toFixed(1))

function pickAll(iterations: number): void {
  for (let i = 0; i < iterations; i++)
    if (pick(exchanges[i & 1023] as Exchange) === undefined) throw new Error('no target')
}
