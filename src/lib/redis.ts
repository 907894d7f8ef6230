import { Redis } from '@upstash/redis/cloudflare'

/**
 * A client of Redis behind Upstash's protocol, which sends each command once; undefined for a URL that the client refuses. Callers keep a
 * shorter timeout of their own: the abort after `giveUpMs` milliseconds only frees the connection.
 */
export function connectRedis(url: string, token: string, giveUpMs: number): Redis | undefined {
  try {
    return new Redis({
      url,
      token,
      // `false` would mean one more try, for which the caller's timeout leaves no time.
      retry: { retries: 0 },
      enableTelemetry: false,
      readYourWrites: false,
      // Replies hold only numbers and ASCII.
      responseEncoding: false,
      automaticDeserialization: false,
      // It would join the commands of several requests, which would then await the promise of one of them.
      enableAutoPipelining: false,
      signal: () => AbortSignal.timeout(giveUpMs),
    })
  } catch {
    return undefined
  }
}
