import { cpuUs, load, type Load } from './load.ts'
import { spread, type Spread } from './statistics.ts'
import type { Subject } from './subjects.ts'

/** The number of connections of a run under load. */
const BUSY = 32

/** One subject, measured right after the pass-through Worker, so that the difference is the gateway's and little of the machine's variation. */
export interface Round {
  readonly cpuUs: number
  readonly cpuRatio: number
  readonly perSecond: number
  readonly throughputRatio: number
  /** The share of its core that the gateway used. Far below 1, the load generator was the limit and not the gateway. */
  readonly busy: number
  readonly p50Us: number
  readonly p50Ratio: number
  readonly p99Us: number
  readonly p99Ratio: number
  /** 99th percentile with 32 connections. */
  readonly p99BusyUs: number
  readonly baseCpuUs: number
}

/** The rounds of one subject. */
export interface Comparison {
  readonly name: string
  readonly rounds: readonly Round[]
}

/** Measures all subjects `rounds` times, each right after the pass-through Worker. */
export async function compare(
  base: Subject,
  subjects: readonly Subject[],
  rounds: number,
  seconds: number,
): Promise<Comparison[]> {
  for (const subject of [base, ...subjects]) await measure(subject, subject.headers, BUSY, seconds)
  const comparisons = subjects.map(({ name }) => ({ name, rounds: [] as Round[] }))
  for (let round = 1; round <= rounds; round++) {
    process.stderr.write(`round ${round} of ${rounds}\n`)
    for (const [i, subject] of subjects.entries()) comparisons[i]!.rounds.push(await pair(base, subject, seconds))
  }
  return comparisons
}

async function pair(base: Subject, subject: Subject, seconds: number): Promise<Round> {
  const { headers } = subject
  const baseBusy = await measure(base, headers, BUSY, seconds)
  const busy = await measure(subject, headers, BUSY, seconds)
  const baseAlone = await measure(base, headers, 1, seconds)
  const alone = await measure(subject, headers, 1, seconds)
  return {
    cpuUs: busy.cpuUs,
    baseCpuUs: baseBusy.cpuUs,
    cpuRatio: busy.cpuUs / baseBusy.cpuUs,
    perSecond: busy.perSecond,
    throughputRatio: busy.perSecond / baseBusy.perSecond,
    busy: busy.busy,
    p50Us: alone.p50Us,
    p50Ratio: alone.p50Us / baseAlone.p50Us,
    p99Us: alone.p99Us,
    p99Ratio: alone.p99Us / baseAlone.p99Us,
    p99BusyUs: busy.p99Us,
  }
}

interface Measured extends Load {
  /** Processor time of the process for each request. */
  readonly cpuUs: number
  readonly busy: number
}

/** One run under load. Processor time comes from the accounting of the process itself, which other processes do not disturb. */
export async function measure(
  { url, pid }: Subject,
  headers: Subject['headers'],
  connections: number,
  seconds: number,
): Promise<Measured> {
  const cpuBefore = pid === undefined ? 0 : cpuUs(pid)
  const result = await load({ url, headers, connections, seconds })
  const used = pid === undefined ? 0 : cpuUs(pid) - cpuBefore
  return { ...result, cpuUs: used / result.requests, busy: used / (seconds * 1_000_000) }
}

/** The spread of one value over the rounds of a comparison. */
export function over({ rounds }: Comparison, read: (round: Round) => number): Spread {
  return spread(rounds.map(read))
}
