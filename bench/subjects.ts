import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileFile } from '../deploy/compile.ts'
import { workerdConfig } from '../deploy/config.ts'
import { startGatewayProcess } from '../deploy/gateway.ts'
import { buildRoutes, buildWorker, cacheSpec, singleFileSpec } from '../deploy/worker.ts'
import { startWorkerd, type Workerd } from '../deploy/workerd.ts'
import { GATEWAY_LAUNCHER } from './load.ts'
import { startBenchOrigin, type BenchOrigin } from './origin.ts'
import { BALANCED_SETS, LIMIT_SETS, makeIssuer, POLICY_SETS, routesOf, type PolicySet } from './policy-sets.ts'

/** The files, the servers and the bundled Worker of a benchmark. */
export interface Bench {
  readonly folder: string
  readonly origin: BenchOrigin
  readonly token: string
  /** The folder of `buildWorker`. */
  readonly worker: string
}

/** A server under measurement. */
export interface Subject {
  readonly name: string
  readonly url: string
  /** Undefined for the origin, which is not measured itself. */
  readonly pid: number | undefined
  readonly headers: Readonly<Record<string, string>>
  /** Bytes of access log so far. */
  readonly logBytes: () => number
  readonly stop: () => Promise<void>
}

const PATH = '/users/42'
const common = { ip: '127.0.0.1', port: 0 }

/** Builds the Worker and starts the origin. The folder is deleted when this process ends. */
export async function makeBench(): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'umbral-bench-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const { jwks, token } = await makeIssuer()
  const origin = await startBenchOrigin(jwks)
  const routes = join(folder, 'routes.json')
  const text = join(folder, 'routes.txt')
  writeFileSync(routes, JSON.stringify(routesOf({}, origin.url)))
  await buildRoutes(routes, text, process.env)
  return { folder, origin, token, worker: await buildWorker(text) }
}

/** Starts the gateway with one set of policies, in a process of its own and through `launcher`. */
export async function startPolicySet(bench: Bench, name: string, launcher = GATEWAY_LAUNCHER): Promise<Subject> {
  const set = POLICY_SETS[name] ?? BALANCED_SETS[name] ?? LIMIT_SETS[name]
  if (!set) throw new Error(`--set: expected one of ${Object.keys(POLICY_SETS).join(', ')}, found ${name}`)
  const routes = join(bench.folder, `${name}.json`)
  writeFileSync(routes, JSON.stringify(routesOf(set, bench.origin.url)))
  const log = join(bench.folder, `${name}.log`)
  const fd = openSync(log, 'a')
  const stateDir = join(bench.folder, `${name}.state`)
  const env = environmentOf(set, bench)
  const process = await startGatewayProcess({ ...common, launcher, routes, stateDir, stdout: fd, env })
  closeSync(fd)
  const credentials = set.anonymous ? {} : { authorization: `Bearer ${bench.token}` }
  return subject(name, process, { ...credentials, ...set.headers }, () => statSync(log).size)
}

function environmentOf(set: PolicySet, { origin }: Bench): NodeJS.ProcessEnv {
  return {
    LOG_LEVEL: set.logged ? 'info' : 'silent',
    ...(set.traced && { OTEL_EXPORTER_OTLP_ENDPOINT: origin.otlpUrl, OTEL_TRACES_SAMPLER_ARG: '0.0625' }),
  }
}

/** The configuration of a Worker for comparison, with the same workerd and flags. */
export async function workerConfig(bench: Bench, name: 'pass-through' | 'required-calls'): Promise<string> {
  const file = join(bench.folder, `${name}.js`)
  await compileFile(join(import.meta.dirname, `${name}.ts`), file)
  const spec = { ...singleFileSpec(bench.worker, file), variables: ['BENCH_ORIGIN'] }
  return workerdConfig(spec, cacheSpec(bench.worker))
}

/** Starts a Worker for comparison. */
export async function startWorker(
  bench: Bench,
  name: 'pass-through' | 'required-calls',
  launcher = GATEWAY_LAUNCHER,
): Promise<Subject> {
  const config = await workerConfig(bench, name)
  const env = { BENCH_ORIGIN: bench.origin.url }
  const stateDir = join(bench.folder, `${name}.state`)
  const log = join(bench.folder, `${name}.log`)
  const fd = openSync(log, 'a')
  const process = await startWorkerd({ ...common, launcher, config, stateDir, env, stdout: fd })
  closeSync(fd)
  return subject(name, process, { authorization: `Bearer ${bench.token}` }, () => statSync(log).size)
}

/** The origin without a gateway. */
export function direct(bench: Bench): Subject {
  const url = bench.origin.url + PATH
  return { name: 'direct', url, pid: undefined, headers: {}, logBytes: () => 0, stop: async () => undefined }
}

function subject(name: string, workerd: Workerd, headers: Subject['headers'], logBytes: () => number): Subject {
  const { url, pid, stop, stderr } = workerd
  // Warnings and errors of a gateway under measurement must be visible.
  stderr.on('data', (chunk: Buffer) => process.stderr.write(`${name}: ${chunk.toString()}`))
  return { name, url: url + PATH, pid, headers, logBytes, stop }
}
