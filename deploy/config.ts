/** The description of a Worker for workerd. */
export interface WorkerSpec {
  /** The first is the entry. The others are imported by `name`; `file` is an absolute path. */
  readonly modules: readonly WorkerModule[]
  readonly compatibilityDate: string
  readonly compatibilityFlags: readonly string[]
  readonly durableObjects: readonly { readonly binding: string; readonly className: string }[]
  /** Environment variables that become bindings of the same name. */
  readonly variables: readonly string[]
}

/** One module of a Worker. */
export interface WorkerModule {
  readonly name: string
  readonly kind: 'esModule' | 'text' | 'wasm' | 'data'
  readonly file: string
}

/** The names of sockets and of the disk, whose addresses and folder the command line sets. */
export const SOCKET = 'http'
export const STATE_DISK = 'state'

/** A small young generation keeps garbage collection pauses short: p99 at 32 connections falls to a quarter, RSS to a third. */
export const V8_FLAGS = ['--max-semi-space-size=1', '--single-threaded-gc']

/** How a gateway process is connected to others on this machine. Addresses as workerd takes them: `unix:/path`, `10.0.0.1:9000`. */
export interface Wiring {
  /** Where the process listens for its supervisor; undefined for a process without one. */
  readonly control?: string
  /** Where the supervisor listens for the process. */
  readonly supervisor?: string
  /** Where the process that owns the Durable Objects listens; undefined for a process that owns them itself. */
  readonly state?: string
}

/**
 * The configuration of one workerd process (Cap'n Proto text): the gateway, its outbound network, its cache, its disk.
 * Values of variables are not in it: workerd reads them from its own environment, so that no secret is on disk or visible in `ps`.
 * Logs are plain: `structuredLogging` would wrap the gateway's JSON lines in a second JSON.
 */
export function workerdConfig(gateway: WorkerSpec, cache: WorkerSpec, wiring: Wiring = {}): string {
  const { control, supervisor, state } = wiring
  const services = [
    ...(supervisor === undefined
      ? []
      : [`(name = "supervisor", external = (address = ${text(supervisor)}, http = ()))`]),
    ...(state === undefined
      ? []
      : [`(name = "objects", external = (address = ${text(state)}, http = (capnpConnectHost = "state")))`]),
  ]
  const bindings = [
    ...(supervisor === undefined ? [] : ['(name = "SUPERVISOR", service = "supervisor")']),
    ...(state === undefined ? [] : ['(name = "STATE", service = "objects")']),
  ]
  const sockets = [
    `(name = ${text(SOCKET)}, http = (), service = "gateway")`,
    ...(control === undefined
      ? []
      : [
          `(name = "control", address = ${text(control)}, http = (), service = (name = "gateway", entrypoint = "Control"))`,
        ]),
  ]
  return configText(gateway, cache, { services, bindings, sockets, ownsObjects: state === undefined })
}

/** The configuration of the process that owns the Durable Objects of several gateway processes, which call it at `addresses`. */
export function stateConfig(gateway: WorkerSpec, cache: WorkerSpec, addresses: readonly string[]): string {
  const service = '(name = "gateway", entrypoint = "StateCalls")'
  const sockets = addresses.map(
    (address, nth) =>
      `(name = "state-${nth}", address = ${text(address)}, http = (capnpConnectHost = "state"), service = ${service})`,
  )
  return configText(gateway, cache, { services: [], bindings: [], sockets, ownsObjects: true })
}

interface ConfigParts {
  readonly services: readonly string[]
  readonly bindings: readonly string[]
  readonly sockets: readonly string[]
  readonly ownsObjects: boolean
}

function configText(gateway: WorkerSpec, cache: WorkerSpec, { services, bindings, sockets, ownsObjects }: ConfigParts) {
  const worker = ownsObjects ? gateway : { ...gateway, durableObjects: [] }
  const storage = ownsObjects ? `,\n      durableObjectStorage = (localDisk = ${text(STATE_DISK)})` : ''
  const disk = ownsObjects ? [`(name = ${text(STATE_DISK)}, disk = (writable = true))`] : []
  const all = [
    `(name = "gateway", worker = (${workerFields(worker, bindings)},
      globalOutbound = "network",
      cacheApiOutbound = "cache"${storage}))`,
    `(name = "cache", worker = (${workerFields(cache)}))`,
    '(name = "network", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true)))',
    ...disk,
    ...services,
  ]
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    ${all.join(',\n    ')},
  ],
  sockets = ${list(sockets)},
  v8Flags = ${list(V8_FLAGS.map(text))},
);
`
}

function workerFields(worker: WorkerSpec, otherBindings: readonly string[] = []): string {
  const modules = worker.modules.map(({ name, kind, file }) => `(name = ${text(name)}, ${kind} = embed ${text(file)})`)
  const objects = worker.durableObjects.map(({ binding, className }) => ({
    // The key names the folder on disk: changing it loses the state of every object.
    namespace: `(className = ${text(className)}, uniqueKey = ${text(`umbral-${className}`)}, enableSql = true)`,
    binding: `(name = ${text(binding)}, durableObjectNamespace = ${text(className)})`,
  }))
  const variables = worker.variables.map((name) => `(name = ${text(name)}, fromEnvironment = ${text(name)})`)
  return `
      modules = ${list(modules)},
      compatibilityDate = ${text(worker.compatibilityDate)},
      compatibilityFlags = ${list(worker.compatibilityFlags.map(text))},
      durableObjectNamespaces = ${list(objects.map((object) => object.namespace))},
      bindings = ${list([...objects.map((object) => object.binding), ...variables, ...otherBindings])}`
}

const list = (items: readonly string[]) => `[${items.join(', ')}]`

/** A Cap'n Proto string; its escapes are C's, of which JSON uses a part. */
const text = (value: string) => JSON.stringify(value)
