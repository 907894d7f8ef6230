import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { startGatewayProcess } from './gateway.ts'

/**
 * The gateway on any machine, without wrangler: `npm run serve -- [--port 8787] [--routes routes.json] [--state .umbral/state] [--ip 127.0.0.1]`.
 * Secrets and variables come from the environment; SIGTERM and SIGINT let requests in flight finish. docs/self-hosting.md tells the rest.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '8787' },
      routes: { type: 'string', default: 'routes.json' },
      state: { type: 'string', default: join(import.meta.dirname, '../.umbral/state') },
      ip: { type: 'string', default: '127.0.0.1' },
    },
  })
  const port = Number(values.port)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`--port: expected 0 to 65535, found ${values.port}`)
  const gateway = await startGatewayProcess({
    routes: resolve(values.routes),
    ip: values.ip,
    port,
    stateDir: resolve(values.state),
    env: process.env,
    stdout: 'inherit',
  })
  gateway.stderr.pipe(process.stderr)
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void gateway.stop())
  console.log(`Umbral is at ${gateway.url} with ${relative('', values.routes)}`)
  const end = await gateway.ended
  // A terminal's Ctrl-C reaches workerd directly, which then ends by the signal.
  process.exitCode = end === 'SIGINT' || end === 'SIGTERM' ? 0 : typeof end === 'number' ? end : 1
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
