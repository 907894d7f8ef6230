/** The methods that a route takes which names none. */
export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

/**
 * Further methods that the runtime accepts and sends: WebDAV (RFC 4918, 3253, 3744, 5323), QUERY (draft-ietf-httpbis-safe-method-w-body), UPnP eventing, and those of caches. A
 * route takes one only when it names it. TRACE is not among them, because it sends a client's credentials back.
 */
export const EXTENSION_METHODS = [
  'PROPFIND',
  'PROPPATCH',
  'MKCOL',
  'COPY',
  'MOVE',
  'LOCK',
  'UNLOCK',
  'REPORT',
  'SEARCH',
  'QUERY',
  'ACL',
  'MKACTIVITY',
  'CHECKOUT',
  'MERGE',
  'NOTIFY',
  'SUBSCRIBE',
  'UNSUBSCRIBE',
  'PURGE',
  'BAN',
] as const

/** Methods that change nothing at the origin (IANA HTTP Method Registry, column Safe). */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY'])
/** Methods that may have another effect when they are repeated (the same registry, column Idempotent), and those of UPnP, which it does not list. PURGE and BAN, which it does not list either, remove what is gone the second time. */
const NOT_IDEMPOTENT: ReadonlySet<string> = new Set(['POST', 'PATCH', 'LOCK', 'NOTIFY', 'SUBSCRIBE', 'UNSUBSCRIBE'])
const standard: ReadonlySet<string> = new Set(METHODS)

/** Whether a route that names no methods takes it. */
export const isStandardMethod = (method: string): boolean => standard.has(method)

/** Whether it is not known to be safe (RFC 9110 §9.2.1). */
export const isUnsafe = (method: string): boolean => !SAFE.has(method)

/** Whether it may be repeated (RFC 9110 §9.2.2). */
export const isIdempotent = (method: string): boolean => !NOT_IDEMPOTENT.has(method)
