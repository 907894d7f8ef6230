/**
 * Checks that traced requests leak no memory: `npm run bench:memory -- [count=1000000] [heapMb=192]`.
 * Each has a SERVER span, two policy spans and a CLIENT span, all exported to a real receiver. Exits with 1 when the
 * worker exceeds its heap limit, loses a span, or still grows at the end.
 */
import { join } from 'node:path'
import { startOtlpReceiver } from '../test/support/otlp-receiver.ts'
import { runWorker } from '../test/support/run-worker.ts'
import { cpuUs, rssMb } from './load.ts'

const SPANS_PER_REQUEST = 4
const STEPS = 10
/** Memory outside the heap grows in steps of about 30 MB; a leak there would exceed this. */
const GROWTH_ALLOWED_MB = 64

const count = Number(process.argv[2] ?? 1_000_000)
const heapMb = Number(process.argv[3] ?? 192)

const receiver = await startOtlpReceiver(1_000)
const worker = await runWorker(join(import.meta.dirname, '../test/telemetry/worker.ts'), {
  variables: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url },
  v8Flags: [`--max-old-space-size=${heapMb}`],
})
try {
  const sizes: number[] = []
  const cpuBefore = cpuUs(worker.pid)
  for (let step = 1; step <= STEPS; step++) {
    const response = await fetch(`${worker.url}/loop?n=${count / STEPS}`)
    if (!response.ok) throw new Error(`the worker responded ${response.status}`)
    sizes.push(rssMb(worker.pid))
    console.log(`${String((count / STEPS) * step).padStart(9)} requests ${sizes.at(-1)!.toFixed(0).padStart(5)} MB`)
  }
  const cpu = cpuUs(worker.pid) - cpuBefore
  console.log(`${(cpu / count).toFixed(1)} µs CPU per request; ${receiver.received()} spans arrived`)
  if (receiver.received() !== count * SPANS_PER_REQUEST) throw new Error(`sent ${count * SPANS_PER_REQUEST} spans`)
  const half = STEPS / 2
  const growth = Math.max(...sizes.slice(half)) - Math.max(...sizes.slice(0, half))
  if (growth > GROWTH_ALLOWED_MB) throw new Error(`the second half used ${growth.toFixed(0)} MB more than the first`)
} catch (error) {
  console.error(worker.output(), receiver.faults()[0] ?? '')
  console.error(String(error))
  process.exitCode = 1
} finally {
  await worker.stop()
  await receiver.stop()
}
