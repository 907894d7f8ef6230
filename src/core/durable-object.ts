import { withTimeout } from '../lib/time.ts'

/**
 * A Durable Object namespace as its clients see it: `Api` is the small interface of remote calls that the capability exports, so that
 * no client imports the class.
 */
export interface ObjectNamespace<Api> {
  getByName(name: string, options?: DurableObjectNamespaceGetDurableObjectOptions): Api
}

/**
 * The result of one remote call to the object `name`; undefined when it fails, or takes longer than `timeoutMs` milliseconds. The
 * call may have taken effect all the same. Never rejects.
 */
export function callObject<Api, T>(
  namespace: ObjectNamespace<Api>,
  name: string,
  timeoutMs: number,
  call: (object: Api) => PromiseLike<T>,
  options?: DurableObjectNamespaceGetDurableObjectOptions,
): Promise<T | undefined> {
  return withTimeout(timeoutMs, async () => call(namespace.getByName(name, options)))
}
