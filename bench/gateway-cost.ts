import { compare, measure, over, type Comparison, type Round } from './compare.ts'
import { atLeast, atMost, digits, printFigures, spread, type Figure } from './statistics.ts'
import { direct, startPolicySet, startWorker, type Bench, type Subject } from './subjects.ts'

/** Another Worker to hold `full` against: one that makes the same calls into the runtime, and does nothing else. */
const REQUIRED = 'required-calls'

/** What the gateway costs a request: each set of policies against the pass-through Worker. */
export async function measureGateway(bench: Bench, sets: readonly string[], rounds: number, seconds: number) {
  const running: Subject[] = []
  try {
    const base = await startWorker(bench, 'pass-through')
    running.push(base)
    for (const name of sets) running.push(await startPolicySet(bench, name))
    await proveThatPoliciesWork(running)
    running.push(await startWorker(bench, REQUIRED))
    const found = await compare(base, running.slice(1), rounds, seconds)
    const alone = await measure(direct(bench), {}, 32, seconds)
    print(found, alone.perSecond)
    const logBytes = Object.fromEntries(running.map((subject) => [subject.name, subject.logBytes()]))
    console.log(
      `\n  the collector got ${bench.origin.batches()} batches of spans; access logs: ${JSON.stringify(logBytes)} bytes`,
    )
    return { directPerSecond: alone.perSecond, comparisons: found, batches: bench.origin.batches(), logBytes }
  } finally {
    await Promise.all(running.map((subject) => subject.stop()))
  }
}

/** A policy that lets everything through is cheap: who needs a token must refuse a request without one. */
async function proveThatPoliciesWork(subjects: readonly Subject[]): Promise<void> {
  for (const { name, url, headers } of subjects) {
    const [bare, complete] = [await fetch(url), await fetch(url, { headers })]
    const wanted = /^auth|^full/.test(name) ? 401 : 200
    if (bare.status !== wanted || complete.status !== 200) {
      throw new Error(
        `${name}: expected ${wanted} without headers and 200 with, found ${bare.status} and ${complete.status}`,
      )
    }
    const limited = complete.headers.has('ratelimit')
    if (limited !== /^limit|^full/.test(name))
      throw new Error(`${name}: RateLimit field ${limited ? 'unexpected' : 'missing'}`)
  }
}

function print(found: readonly Comparison[], directPerSecond: number): void {
  console.log('\nThe gateway against a five-line pass-through Worker: median of each round’s ratio [least – most]')
  console.log(`  direct to the origin: ${digits(directPerSecond)} requests/s with 32 connections`)
  const head = ['set', 'CPU', 'CPU µs', 'throughput', 'req/s', 'p50 at 1', 'p99 at 1', 'p99 µs at 32', 'core busy']
  const rows = found.map((comparison) => {
    const ratio = (read: (round: Round) => number) => {
      const { median, min, max } = over(comparison, read)
      return `${median.toFixed(2)} [${min.toFixed(2)}–${max.toFixed(2)}]`
    }
    const middle = (read: (round: Round) => number) => digits(over(comparison, read).median)
    const cost = [ratio((r) => r.cpuRatio), middle((r) => r.cpuUs)]
    const throughput = [ratio((r) => r.throughputRatio), middle((r) => r.perSecond)]
    const latency = [ratio((r) => r.p50Ratio), ratio((r) => r.p99Ratio), middle((r) => r.p99BusyUs)]
    return [comparison.name, ...cost, ...throughput, ...latency, middle((r) => r.busy)]
  })
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)))
  for (const row of [head, ...rows]) console.log(`  ${row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')}`)
  const full = found.find(({ name }) => name === 'full')
  if (full) printFigures('Targets of the set "full"', targetsOf(full))
  const bare = found.find(({ name }) => name === 'bare')
  if (bare && found.length > 2) printFigures('Each set’s cost above the bare route', ownCosts(found, bare))
}

function targetsOf(full: Comparison): Figure[] {
  return [
    { name: 'CPU a request', value: over(full, (r) => r.cpuRatio), unit: '×', target: atMost(1.4, ' ×') },
    { name: 'throughput', value: over(full, (r) => r.throughputRatio), unit: '×', target: atLeast(0.7, ' ×') },
    { name: 'p50 at one connection', value: over(full, (r) => r.p50Ratio), unit: '×', target: atMost(1.2, ' ×') },
  ]
}

/** In microseconds at the median speed of the pass-through Worker: the difference of ratios of one round, in which a slow moment cancels out. */
function ownCosts(found: readonly Comparison[], bare: Comparison): Figure[] {
  const baseUs = spread(found.flatMap(({ rounds }) => rounds.map((round) => round.baseCpuUs))).median
  return found
    .filter((comparison) => comparison !== bare && comparison.name !== REQUIRED)
    .map(({ name, rounds }) => ({
      name,
      value: spread(rounds.map((round, i) => (round.cpuRatio - bare.rounds[i]!.cpuRatio) * baseUs)),
      unit: 'µs',
    }))
}
