import { isIP } from 'node:net'
import { join } from 'node:path'
import { misused, portTaken, readArguments, readPort, typedPath } from '../dev/arguments.ts'
import { startGatewayProcess, type GatewayOptions } from './gateway.ts'
import { PortTaken, type Workerd } from './workerd.ts'

const USAGE = `Usage: npm run serve -- [--port 8787] [--routes routes.json] [--state .umbral/state] [--ip 127.0.0.1]

Runs the gateway on this machine, without wrangler. Secrets and variables come from the environment.
  --port N       the port; 0 chooses a free one and prints it
  --routes FILE  the routes file
  --state DIR    the folder of accounts, keys, limits and circuit breakers; one gateway for each folder
  --ip ADDRESS   the address to listen on; 0.0.0.0 for all`

const ROOT = join(import.meta.dirname, '..')

/** Runs the gateway until it ends, and gives the exit code. SIGTERM and SIGINT let requests in flight finish. See docs/self-hosting.md. */
async function main(): Promise<number> {
  const options = readOptions()
  let gateway: Workerd | undefined
  let interrupted = false
  onEnd(() => {
    interrupted = true
    void gateway?.stop()
  })
  gateway = await startGatewayProcess({ ...options, env: process.env, stdout: 'inherit', warn: console.error })
  gateway.stderr.pipe(process.stderr)
  if (interrupted) void gateway.stop()
  else console.log(`Umbral is at ${gateway.url} with ${options.routes}`)
  const end = await gateway.ended
  // Ctrl-C in a terminal also reaches workerd, which then ends by the signal.
  return end === 'SIGINT' || end === 'SIGTERM' ? 0 : typeof end === 'number' ? end : 1
}

function readOptions(): Pick<GatewayOptions, 'routes' | 'stateDir' | 'ip' | 'port'> {
  const { values } = readArguments(USAGE, {
    options: {
      port: { type: 'string', default: '8787' },
      routes: { type: 'string' },
      state: { type: 'string' },
      ip: { type: 'string', default: '127.0.0.1' },
    },
  })
  const port = readPort(USAGE, values.port, 0)
  if (isIP(values.ip) === 0) misused(USAGE, `--ip: expected an IP address, found "${values.ip}"`)
  return {
    routes: values.routes === undefined ? join(ROOT, 'routes.json') : typedPath(values.routes),
    stateDir: values.state === undefined ? join(ROOT, '.umbral/state') : typedPath(values.state),
    ip: values.ip,
    port,
  }
}

/** Calls `stop` on the first signal to end, or when the process that started this one has ended. */
function onEnd(stop: () => void): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, stop)
  if (process.env.npm_lifecycle_event === undefined) return
  // At SIGTERM, `npm run` ends the shell between itself and this process, which then gets no signal.
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    stop()
  }, 200)
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    const portMessage = error instanceof PortTaken ? portTaken('npm run serve', error.port) : undefined
    console.error(portMessage ?? (error instanceof Error ? error.message : error))
    process.exit(1)
  },
)
