import { compare, measure, over, type Comparison, type Round } from './compare.ts'
import { atLeast, atMost, digits, printFigures, spread, type Figure } from './statistics.ts'
import { direct, startPolicySet, startWorker, type Bench, type Subject } from './subjects.ts'

/** A Worker to compare `full` with: it makes the same calls into the runtime, and does nothing else. */
const REQUIRED = 'required-calls'

/** Measures the cost of the gateway for each request: each set of policies against the pass-through Worker. */
export async function measureGateway(bench: Bench, sets: readonly string[], rounds: number, seconds: number) {
  const running: Subject[] = []
  try {
    const base = await startWorker(bench, 'pass-through')
    running.push(base)
    for (const name of sets) running.push(await startPolicySet(bench, name))
    await checkPolicies(running)
    running.push(await startWorker(bench, REQUIRED))
    const comparisons = await compare(base, running.slice(1), rounds, seconds)
    const directRun = await measure(direct(bench), {}, 32, seconds)
    print(comparisons, directRun.perSecond)
    const logBytes = Object.fromEntries(running.map((subject) => [subject.name, subject.logBytes()]))
    console.log(
      `\n  the collector received ${bench.origin.batches()} batches of spans; access logs: ${JSON.stringify(logBytes)} bytes`,
    )
    return { directPerSecond: directRun.perSecond, comparisons, batches: bench.origin.batches(), logBytes }
  } finally {
    await Promise.all(running.map((subject) => subject.stop()))
  }
}

/** Checks that the policies have an effect, because a policy without one is cheap: a set with `auth` must refuse a request without a token. */
async function checkPolicies(subjects: readonly Subject[]): Promise<void> {
  for (const { name, url, headers } of subjects) {
    const [bare, complete] = [await fetch(url), await fetch(url, { headers })]
    const expected = /^auth|^full/.test(name) ? 401 : 200
    if (bare.status !== expected || complete.status !== 200) {
      throw new Error(
        `${name}: expected ${expected} without headers and 200 with, found ${bare.status} and ${complete.status}`,
      )
    }
    const limited = complete.headers.has('ratelimit')
    if (limited !== /^limit|^full/.test(name))
      throw new Error(`${name}: RateLimit field ${limited ? 'unexpected' : 'missing'}`)
  }
}

function print(comparisons: readonly Comparison[], directPerSecond: number): void {
  console.log('\nThe gateway against a five-line pass-through Worker: median of each round’s ratio [least – most]')
  console.log(`  direct to the origin: ${digits(directPerSecond)} requests/s with 32 connections`)
  const head = ['set', 'CPU', 'CPU µs', 'throughput', 'req/s', 'p50 at 1', 'p99 at 1', 'p99 µs at 32', 'core busy']
  const rows = comparisons.map((comparison) => {
    const ratio = (read: (round: Round) => number) => {
      const { median: middle, min, max } = over(comparison, read)
      return `${middle.toFixed(2)} [${min.toFixed(2)}–${max.toFixed(2)}]`
    }
    const median = (read: (round: Round) => number) => digits(over(comparison, read).median)
    const cost = [ratio((r) => r.cpuRatio), median((r) => r.cpuUs)]
    const throughput = [ratio((r) => r.throughputRatio), median((r) => r.perSecond)]
    const latency = [ratio((r) => r.p50Ratio), ratio((r) => r.p99Ratio), median((r) => r.p99BusyUs)]
    return [comparison.name, ...cost, ...throughput, ...latency, median((r) => r.busy)]
  })
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)))
  for (const row of [head, ...rows]) console.log(`  ${row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')}`)
  const full = comparisons.find(({ name }) => name === 'full')
  if (full) printFigures('Targets of the set "full"', targetsOf(full))
  const bare = comparisons.find(({ name }) => name === 'bare')
  if (bare && comparisons.length > 2) printFigures('Each set’s cost above the bare route', ownCosts(comparisons, bare))
}

function targetsOf(full: Comparison): Figure[] {
  return [
    { name: 'CPU a request', value: over(full, (r) => r.cpuRatio), unit: '×', target: atMost(1.4, ' ×') },
    { name: 'throughput', value: over(full, (r) => r.throughputRatio), unit: '×', target: atLeast(0.7, ' ×') },
    { name: 'p50 at one connection', value: over(full, (r) => r.p50Ratio), unit: '×', target: atMost(1.2, ' ×') },
  ]
}

/** In microseconds, at the median speed of the pass-through Worker: the difference of the ratios of one round, so that the machine's speed cancels out. */
function ownCosts(comparisons: readonly Comparison[], bare: Comparison): Figure[] {
  const baseUs = spread(comparisons.flatMap(({ rounds }) => rounds.map((round) => round.baseCpuUs))).median
  return comparisons
    .filter((comparison) => comparison !== bare && comparison.name !== REQUIRED)
    .map(({ name, rounds }) => ({
      name,
      value: spread(rounds.map((round, i) => (round.cpuRatio - bare.rounds[i]!.cpuRatio) * baseUs)),
      unit: 'µs',
    }))
}
