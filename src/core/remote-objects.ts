import type { ObjectNamespace } from './durable-object.ts'

/** The bindings of the Durable Objects, which a process of its own may hold for several gateways. */
export type ObjectBinding =
  'BREAKERS' | 'GLOBAL_UPSTREAMS' | 'LIMITS' | 'IDENTITY' | 'LOGINS' | 'NONCES' | 'CACHE_STATE'

/** One remote call of a Durable Object; plain data, because stubs cannot pass to another process. */
export interface ObjectCall {
  readonly binding: string
  /** The name of the object. */
  readonly name: string
  readonly method: string
  readonly args: readonly unknown[]
}

/** The process that holds the Durable Objects, as a gateway in another process sees it. `secret` is UMBRAL_STATE_SECRET, or empty. */
export interface StateService {
  call(secret: string, call: ObjectCall): Promise<unknown>
}

/** The objects of `binding` in the process behind `state`. */
export function remoteObjects<Api>(state: StateService, secret: string, binding: ObjectBinding): ObjectNamespace<Api> {
  return {
    getByName: (name) =>
      new Proxy({} as Api & object, {
        get:
          (_, method) =>
          async (...args: readonly unknown[]) =>
            plain(await state.call(secret, { binding, name, method: String(method), args })),
      }),
  }
}

/** Methods that the runtime itself calls. */
const NOT_REMOTE = new Set(['alarm', 'constructor', 'fetch', 'webSocketMessage', 'webSocketClose', 'webSocketError'])

/**
 * Makes the call in this process, whose bindings are `env`. Rejects when the secret is not UMBRAL_STATE_SECRET, or there are no such objects or no
 * such method.
 */
export async function executeObjectCall(env: object, secret: unknown, call: ObjectCall): Promise<unknown> {
  const { UMBRAL_STATE_SECRET: expected = '' } = env as { readonly UMBRAL_STATE_SECRET?: string }
  if (typeof secret !== 'string' || !isSame(secret, expected)) throw new Error('UMBRAL_STATE_SECRET does not match')
  const { binding, name, method, args } = call
  const namespace = (env as Readonly<Record<string, unknown>>)[binding] as ObjectNamespace<RemoteMethods> | undefined
  if (typeof namespace?.getByName !== 'function') throw new Error(`no objects ${binding}`)
  if (NOT_REMOTE.has(method)) throw new Error(`no method ${method}`)
  return plain(await namespace.getByName(name)[method]!(...args))
}

type RemoteMethods = Readonly<Record<string, (...args: readonly unknown[]) => Promise<unknown>>>

/** Compares without telling by its time how many characters are the same. */
function isSame(a: string, b: string): boolean {
  const encoder = new TextEncoder()
  const [one, other] = [encoder.encode(a), encoder.encode(b)]
  return one.byteLength === other.byteLength && crypto.subtle.timingSafeEqual(one, other)
}

/** The runtime keeps the connection's resources of each result until it is disposed of. What it holds is plain data, and stays. */
function plain(result: unknown): unknown {
  if (typeof result !== 'object' || result === null) return result
  const { [Symbol.dispose]: dispose, ...rest } = result as Partial<Disposable>
  dispose?.call(result)
  return Array.isArray(result) || result instanceof Uint8Array ? result : rest
}
