import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startGatewayProcess } from '../../deploy/gateway.ts'
import { startSink, type Canary } from '../support/canary.ts'
import { listen } from '../support/listen.ts'
import { runWorker } from '../support/run-worker.ts'
import { canaryRoutes } from './canary-routes.ts'

type Scene = Awaited<ReturnType<typeof startScene>>

/** Fails with what it was told: the credentials themselves. */
const indiscreet = () =>
  createHttpServer((request, response) => {
    request.resume()
    response.writeHead(500, { 'content-type': 'text/plain' })
    response.end(JSON.stringify([request.url, request.headers]))
  })

/** The secrets of a deployment, marked. */
export function makeSecrets(canary: Canary) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const ORIGIN_KEY = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  // What only this key has; before it stands what all keys of the curve begin with.
  canary.watch('private key', ORIGIN_KEY.split('\n')[2]!)
  return {
    PARTNER: canary.mark('partner'),
    INTROSPECTION: canary.mark('introspection'),
    CALLER: canary.mark('caller'),
    ORIGIN: canary.mark('origin'),
    ORIGIN_KEY,
    UMBRAL_BOOTSTRAP_TOKEN: canary.mark('bootstrap'),
    UPSTASH_REDIS_REST_URL: 'http://127.0.0.1:1',
    UPSTASH_REDIS_REST_TOKEN: canary.mark('redis'),
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer ${canary.mark('collector')}`,
    OTEL_TRACES_SAMPLER_ARG: '1',
    LOG_LEVEL: 'debug',
  }
}

/**
 * Starts a gateway with all that it may call, and a Worker that fails as none of its routes can be made to. `stop` ends everything, whatever has been started,
 * and whatever has gone wrong: none of it may outlive the test.
 */
export async function startScene(canary: Canary, stops: (() => unknown)[]) {
  const secrets = makeSecrets(canary)
  const begun = async <Started extends { stop: () => unknown }>(starting: Promise<Started>): Promise<Started> => {
    const started = await starting
    stops.push(started.stop)
    return started
  }
  const [otlp, sentry] = [await begun(startSink()), await begun(startSink())]
  const issuer = await begun(listen(indiscreet()))
  const origin = await begun(listen(createHttpServer((_, response) => void response.end('{}'))))
  const hanging = await begun(listen(createHttpServer(() => {})))
  const garbage = await begun(listen(createTcpServer((socket) => void socket.end('garbage\r\n\r\n'))))
  const folder = mkdtempSync(join(tmpdir(), 'umbral-canary-'))
  stops.push(() => rmSync(folder, { recursive: true, force: true }))
  const routesFile = canaryRoutes({ origin: origin.url, hanging: hanging.url, garbage: garbage.url })
  const routes = join(folder, 'routes.json')
  writeFileSync(routes, JSON.stringify(routesFile))
  const key = canary.mark('sentry')
  const env = {
    ...secrets,
    JWKS_URL: `${issuer.url}/keys?key=${canary.mark('jwks_url')}`,
    ISSUER_URL: issuer.url,
    LATE_URL: hanging.url,
    OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url,
    SENTRY_DSN: `http://${key}@127.0.0.1:${sentry.port}/42`,
  }
  const seen = { output: '', dark: '' }
  const start = async (name: keyof typeof seen, variables: Record<string, string>) => {
    const warn = (line: string) => void (seen[name] += `${line}\n`)
    const stateDir = join(folder, name)
    const options = { routes, ip: '127.0.0.1', port: 0, stateDir, env: variables, stdout: 'pipe', warn } as const
    const gateway = await startGatewayProcess(options)
    // One that hangs must not hold up the others, and has nothing to finish.
    stops.push(gateway.kill)
    for (const stream of [gateway.stdout!, gateway.stderr])
      stream.on('data', (chunk: Buffer) => (seen[name] += chunk.toString()))
    return gateway
  }
  const gateway = await start('output', env)
  // The same, when those that it reports to fail, and say what they were told.
  const dark = await start('dark', {
    ...env,
    OTEL_EXPORTER_OTLP_ENDPOINT: issuer.url,
    SENTRY_DSN: `http://${key}@127.0.0.1:${issuer.port}/42`,
  })
  const worker = join(import.meta.dirname, '../telemetry/worker.ts')
  const failing = await begun(runWorker(worker, { variables: env }))
  return {
    secrets,
    url: gateway.url,
    darkUrl: dark.url,
    failing,
    routeIds: routesFile.routes.map(({ id }) => id),
    /** What there is so far, by where it was seen; Sentry's own key belongs into its envelopes. */
    seen: () => ({
      ...seen,
      spans: otlp.bodies(),
      envelopes: sentry.bodies().replaceAll(key, ''),
      errors: failing.output(),
    }),
  }
}

/** Runs every step, the latest first, also when one fails; then fails with the first reason. */
export async function stopAll(stops: (() => unknown)[]): Promise<void> {
  const reasons: unknown[] = []
  for (const stop of stops.splice(0).toReversed()) {
    try {
      await stop()
    } catch (error) {
      reasons.push(error)
    }
  }
  if (reasons.length > 0) throw reasons[0]
}

export type { Scene }
