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

/** The names of the socket and the disk, whose address and folder the command line sets. */
export const SOCKET = 'http'
export const STATE_DISK = 'state'

/** A small young generation keeps garbage collection pauses short: p99 at 32 connections falls to a quarter, RSS to a third. */
export const V8_FLAGS = ['--max-semi-space-size=1', '--single-threaded-gc']

/**
 * The configuration of one workerd process (Cap'n Proto text): the gateway, its outbound network, its cache, its disk.
 * Values of variables are not in it: workerd reads them from its own environment, so that no secret is on disk or visible in `ps`.
 * Logs are plain: `structuredLogging` would wrap the gateway's JSON lines in a second JSON.
 */
export function workerdConfig(gateway: WorkerSpec, cache: WorkerSpec): string {
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "gateway", worker = (${workerFields(gateway)},
      globalOutbound = "network",
      cacheApiOutbound = "cache",
      durableObjectStorage = (localDisk = ${text(STATE_DISK)}))),
    (name = "cache", worker = (${workerFields(cache)})),
    (name = "network", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
    (name = ${text(STATE_DISK)}, disk = (writable = true)),
  ],
  sockets = [(name = ${text(SOCKET)}, http = (), service = "gateway")],
  v8Flags = ${list(V8_FLAGS.map(text))},
);
`
}

function workerFields(worker: WorkerSpec): string {
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
      bindings = ${list([...objects.map((object) => object.binding), ...variables])}`
}

const list = (items: readonly string[]) => `[${items.join(', ')}]`

/** A Cap'n Proto string; its escapes are C's, of which JSON uses a part. */
const text = (value: string) => JSON.stringify(value)
