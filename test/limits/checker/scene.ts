import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startGatewayProcess } from '../../../deploy/gateway.ts'
import { startCallers, type Call, type Callers } from '../../support/callers.ts'
import { startLedgerOrigin } from '../../support/ledger-origin.ts'
import type { Rule } from './bounds.ts'
import type { Logged } from './judge.ts'
import { startStore, type RunningStore } from './store.ts'

/** A limiter with a route of its own, `/<name>/:key`, which counts by that key. */
export interface Limiter extends Rule {
  readonly onStoreError?: 'allow' | 'deny' | 'local'
}

export type StoreKind = 'redis' | 'durable-objects'

/** One gateway process. Its Durable Objects outlive `kill`. */
export interface LimitedGateway {
  readonly call: Call
  readonly pid: () => number
  /** kill -9. */
  readonly kill: () => Promise<void>
  /** On another port, and as another isolate. */
  readonly restart: () => Promise<void>
}

/** Gateways as users run them, which write a decision log, with one store and one origin behind all of them. */
export interface LimitScene {
  readonly gateways: readonly LimitedGateway[]
  /** Undefined where counts are in Durable Objects. */
  readonly redis: RunningStore | undefined
  /** All that was decided so far. */
  readonly decisions: () => Logged[]
  /** The ids of all requests that have reached the origin. */
  readonly arrived: () => (string | undefined)[]
  readonly stop: () => Promise<void>
}

export interface LimitSetup {
  readonly store: StoreKind
  readonly limiters: readonly Limiter[]
  /** Default 1; Durable Objects under plain workerd are one process's own. */
  readonly gateways?: number
}

export async function startLimitScene({ store, limiters, gateways: number = 1 }: LimitSetup): Promise<LimitScene> {
  const folder = mkdtempSync(join(tmpdir(), 'umbral-limits-'))
  const parts: { stop: () => Promise<void> }[] = []
  const stop = async () => {
    await Promise.all(parts.map((part) => part.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const origin = await startLedgerOrigin()
    parts.push(origin)
    const redis = store === 'redis' ? await startStore() : undefined
    if (redis) parts.push(redis)
    const routes = join(folder, 'routes.json')
    writeFileSync(routes, JSON.stringify(routesOf(limiters, origin.url)))
    const env = {
      LOG_LEVEL: 'silent',
      UMBRAL_LIMIT_LOG: 'on',
      ...(redis && { UPSTASH_REDIS_REST_URL: redis.url, UPSTASH_REDIS_REST_TOKEN: redis.token }),
    }
    const gateways: Awaited<ReturnType<typeof startLimitedGateway>>[] = []
    for (let nth = 0; nth < number; nth++) {
      const gateway = await startLimitedGateway({ folder, nth, routes, env })
      gateways.push(gateway)
      parts.push({ stop: gateway.kill })
    }
    return {
      gateways,
      redis,
      decisions: () => gateways.flatMap((gateway) => gateway.decisions()),
      arrived: () => origin.ledger().map(({ id }) => id),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

interface GatewayParts {
  readonly folder: string
  readonly nth: number
  readonly routes: string
  readonly env: Record<string, string>
}

async function startLimitedGateway({ folder, nth, routes, env }: GatewayParts) {
  const logs: { isolate: string; file: string }[] = []
  const start = async () => {
    const isolate = `${nth}.${logs.length}`
    const file = join(folder, `${isolate}.jsonl`)
    const stdout = openSync(file, 'w')
    logs.push({ isolate, file })
    const stateDir = join(folder, `state-${nth}`)
    const gateway = await startGatewayProcess({ routes, ip: '127.0.0.1', port: 0, stateDir, env, stdout })
    closeSync(stdout)
    return { gateway, callers: startCallers(gateway.url) }
  }
  let running = await start()
  const end = async ({ gateway, callers }: { gateway: typeof running.gateway; callers: Callers }) => {
    await gateway.kill()
    callers.stop()
  }
  return {
    call: ((path, options) => running.callers.call(path, options)) satisfies Call,
    pid: () => running.gateway.pid,
    kill: () => end(running),
    restart: async () => void (running = await start()),
    decisions: () => logs.flatMap(({ isolate, file }) => readDecisions(file, isolate)),
  }
}

/** A process that was killed may have been writing a line. */
function readDecisions(file: string, isolate: string): Logged[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines
    .filter((line) => line.startsWith('{"event":"limit"') && line.endsWith('}'))
    .map((line) => ({ ...(JSON.parse(line) as Logged), isolate }))
}

function routesOf(limiters: readonly Limiter[], origin: string): object {
  return {
    version: 1,
    upstreams: { origin: { targets: [{ url: origin }] } },
    routes: limiters.map(({ name, windowMs, ...limiter }) => ({
      id: name,
      match: { path: `/${name}/:key` },
      upstream: 'origin',
      policies: { rateLimit: [{ name, window: `${windowMs / 1_000}s`, key: ['param:key'], ...limiter }] },
    })),
  }
}
