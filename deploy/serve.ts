import { watch } from 'node:fs'
import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { misused, portTaken, readArguments, readPort, typedPath } from '../dev/arguments.ts'
import { superviseGateway, type RunningGateway, type SupervisorOptions } from './supervisor.ts'
import { PortTaken } from './workerd.ts'

const USAGE = `Usage: npm run serve -- [--port 8787] [--routes routes.json] [--state .umbral/state] [--ip 127.0.0.1] [--workers N|auto]

Runs the gateway on this machine, without wrangler. Secrets and variables come from the environment.
  --port N             the port; 0 chooses a free one and prints it
  --routes FILE        the routes file; SIGHUP makes the gateway read it again
  --watch              read the routes file again whenever it changes
  --state DIR          the folder of accounts, keys, limits and circuit breakers; one gateway for each folder
  --ip ADDRESS         the address to listen on; 0.0.0.0 for all
  --workers N|auto     serve with N processes, or one for each core, and keep the state in a further one
  --state-listen ADDR  let gateways on other machines use this state, at IP:PORT; needs UMBRAL_STATE_SECRET
  --state-at ADDR      use the state of the gateway that listens there; needs UMBRAL_STATE_SECRET
  --drain SECONDS      how long requests in flight may take at the end; default 30`

const ROOT = join(import.meta.dirname, '..')
const MIN_SECRET_LENGTH = 32

/** Runs the gateway until SIGTERM or SIGINT, which let requests in flight finish. See docs/self-hosting.md. */
async function main(): Promise<void> {
  const { watches, ...options } = readOptions()
  let gateway: RunningGateway | undefined
  let isInterrupted = false
  const ended = new Promise<void>((resolve) =>
    onEnd(() => {
      isInterrupted = true
      resolve()
    }),
  )
  gateway = await superviseGateway({
    ...options,
    env: process.env,
    stdout: 'inherit',
    stderr: process.stderr,
    warn: console.error,
  })
  if (!isInterrupted) console.log(`Umbral is at ${gateway.url} with ${options.routes}`)
  const reload = () => reloadRoutes(gateway, options.routes)
  // In a terminal, SIGHUP means that the terminal is closed.
  if (!process.stdin.isTTY) process.on('SIGHUP', reload)
  const watcher = watches ? watchFile(options.routes, reload) : undefined
  await ended
  watcher?.close()
  await gateway.stop()
}

function reloadRoutes(gateway: RunningGateway, routes: string): void {
  gateway.reload().then(
    () => console.error(`${routes} is taken`),
    (error: unknown) => console.error(`${(error as Error).message}\nThe gateway goes on with the routes that it has.`),
  )
}

/** Calls `onChange` shortly after the file was written. Its folder is watched, because many editors replace a file. */
function watchFile(file: string, onChange: () => void): { close: () => void } {
  let timer: NodeJS.Timeout | undefined
  return watch(dirname(file), (_, name) => {
    if (name !== basename(file)) return
    clearTimeout(timer)
    timer = setTimeout(onChange, 100)
  })
}

type Options = Omit<SupervisorOptions, 'env' | 'stdout' | 'stderr' | 'warn'> & { readonly watches: boolean }

function readOptions(): Options {
  const { values } = readArguments(USAGE, {
    options: {
      port: { type: 'string', default: '8787' },
      routes: { type: 'string' },
      watch: { type: 'boolean', default: false },
      state: { type: 'string' },
      ip: { type: 'string', default: '127.0.0.1' },
      workers: { type: 'string' },
      'state-at': { type: 'string' },
      'state-listen': { type: 'string' },
      drain: { type: 'string', default: '30' },
    },
  })
  const port = readPort(USAGE, values.port, 0)
  if (isIP(values.ip) === 0) misused(USAGE, `--ip: expected an IP address, found "${values.ip}"`)
  if (!/^\d{1,5}$/.test(values.drain)) misused(USAGE, `--drain: expected whole seconds, found "${values.drain}"`)
  const state = readState(values)
  return {
    routes: values.routes === undefined ? join(ROOT, 'routes.json') : typedPath(values.routes),
    watches: values.watch,
    stateDir: values.state === undefined ? join(ROOT, '.umbral/state') : typedPath(values.state),
    ip: values.ip,
    port,
    workers: readWorkers(values.workers) ?? (state.stateAt || state.stateListen ? 1 : undefined),
    ...state,
    drainMs: Number(values.drain) * 1_000,
  }
}

function readWorkers(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (text === 'auto') return availableParallelism()
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text)
  return misused(USAGE, `--workers: expected "auto" or a number from 1 to 999, found "${text}"`)
}

function readState(values: Readonly<Record<string, unknown>>): Pick<Options, 'stateAt' | 'stateListen'> {
  const read = (name: string): string | undefined => {
    const address = values[name] as string | undefined
    if (address === undefined) return undefined
    const [, host = '', port = ''] = /^\[?(.+?)\]?:(\d+)$/.exec(address) ?? []
    const isAddress = (isIP(host) !== 0 || name === 'state-at') && Number(port) > 0 && Number(port) <= 65_535
    if (!isAddress) misused(USAGE, `--${name}: expected an address such as 10.0.0.1:9000, found "${address}"`)
    if ((process.env.UMBRAL_STATE_SECRET ?? '').length < MIN_SECRET_LENGTH)
      misused(USAGE, `--${name}: expected a secret of at least ${MIN_SECRET_LENGTH} characters in UMBRAL_STATE_SECRET`)
    return address
  }
  if (values['state-at'] !== undefined && values['state-listen'] !== undefined)
    misused(USAGE, '--state-at has the state elsewhere, so that there is none for --state-listen')
  if (values['state-at'] !== undefined && values['state'] !== undefined)
    misused(USAGE, '--state-at has the state elsewhere, so that there is none for --state')
  return { stateAt: read('state-at'), stateListen: read('state-listen') }
}

/** Calls `stop` on the first signal to end, or when the process that started this one has ended. */
function onEnd(stop: () => void): void {
  const signals = process.stdin.isTTY ? (['SIGTERM', 'SIGINT', 'SIGHUP'] as const) : (['SIGTERM', 'SIGINT'] as const)
  for (const signal of signals) process.once(signal, stop)
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
  () => process.exit(0),
  (error: unknown) => {
    const portMessage = error instanceof PortTaken ? portTaken('npm run serve', error.port) : undefined
    console.error(portMessage ?? (error instanceof Error ? error.message : error))
    process.exit(1)
  },
)
