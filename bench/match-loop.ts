import { compileRouter } from '../src/routing/router.ts'
import { manyRoutes, pathOf } from './many-routes.ts'

/**
 * Prints the nanoseconds of one match among N routes: `node bench/match-loop.ts N ITERATIONS`. Each size runs in a separate process, so that it does not
 * profit from the engine's optimizations for another.
 */
const [count = 10, iterations = 1_000_000] = process.argv.slice(2).map(Number)
const router = compileRouter(manyRoutes(count).map(({ match }) => match))
// Spread over the table, in an order that the processor's cache cannot predict.
const paths = Array.from({ length: 1024 }, (_, i) => pathOf((i * 7919) % count, i))
const request = new Request('http://127.0.0.1/')

matchAll(100_000)
// Processor time, so that other programs do not count.
const before = process.cpuUsage()
const matched = matchAll(iterations)
const { user, system } = process.cpuUsage(before)
if (matched !== iterations) throw new Error(`${iterations - matched} of ${iterations} paths found no route`)
console.log((1000 * (user + system)) / iterations)

function matchAll(times: number): number {
  let found = 0
  for (let i = 0; i < times; i++) if (router('GET', paths[i & 1023]!, request).kind === 'route') found++
  return found
}
