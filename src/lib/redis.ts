import { Redis } from '@upstash/redis/cloudflare'

/**
 * Redis behind Upstash's protocol, which sends each command once; undefined for a URL that the client does not take. Whoever asks has a
 * timeout of his own: after `giveUpMs` milliseconds only the connection is given back.
 */
export function connectRedis(url: string, token: string, giveUpMs: number): Redis | undefined {
  try {
    return new Redis({
      url,
      token,
      // Not `false`, which is one more try: whoever waits for this one will not wait for the next.
      retry: { retries: 0 },
      enableTelemetry: false,
      readYourWrites: false,
      // Only numbers and ASCII come back.
      responseEncoding: false,
      automaticDeserialization: false,
      // It would send several requests' commands as one and let them all wait for one request's promise.
      enableAutoPipelining: false,
      signal: () => AbortSignal.timeout(giveUpMs),
    })
  } catch {
    return undefined
  }
}
