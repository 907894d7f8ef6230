import { withTimeout } from '../lib/time.ts'

/**
 * A Durable Object namespace as its clients see it: `Api` is the small interface of remote calls that the capability exports, so that
 * no client imports the class.
 */
export interface ObjectNamespace<Api> {
  getByName(name: string, options?: DurableObjectNamespaceGetDurableObjectOptions): Api
  /** Is told the outcome of every call by `callObject`: whether it failed, and the error if it was not only late. */
  readonly observe?: (failed: boolean, error?: unknown) => void
}

/**
 * The result of one remote call to the object `name`; undefined when it fails, or takes longer than `timeoutMs` milliseconds. The
 * call may have taken effect all the same. Never rejects.
 */
export async function callObject<Api, T>(
  namespace: ObjectNamespace<Api>,
  name: string,
  timeoutMs: number,
  call: (object: Api) => PromiseLike<T>,
  options?: DurableObjectNamespaceGetDurableObjectOptions,
): Promise<T | undefined> {
  let error: unknown
  const result = await withTimeout(timeoutMs, async () => {
    try {
      return await call(namespace.getByName(name, options))
    } catch (thrown) {
      error = thrown
      return undefined
    }
  })
  namespace.observe?.(result === undefined, error)
  return result
}
