import { importMaterial } from '../../src/signatures/algorithm.ts'
import { contentDigest } from '../../src/signatures/content-digest.ts'
import { signMessage, type SignatureSpec } from '../../src/signatures/message.ts'
import { makeMessage } from './rfc9421.ts'

export const SECRET = 'a secret that acme and the gateway share'
export const acmeKey = async () => (await importMaterial('hmac-sha256', { secret: SECRET }))!

let made = 0

/** A request of `acme`, signed as a partner would: each part can be another one. */
export async function signedRequest(
  parts: {
    readonly url?: string
    readonly method?: string
    readonly body?: string
    readonly headers?: Record<string, string>
    readonly spec?: Partial<SignatureSpec>
    /** Changes the signed fields before they are sent. */
    readonly forge?: (fields: Record<string, string>) => Record<string, string>
  } = {},
): Promise<Request> {
  const { url = 'https://gw.test/orders?id=1', body, forge = (fields) => fields } = parts
  const method = parts.method ?? (body === undefined ? 'GET' : 'POST')
  const now = Math.floor(Date.now() / 1000)
  const headers: Record<string, string> = {
    ...(body !== undefined && { 'content-digest': await contentDigest(new TextEncoder().encode(body)) }),
    ...parts.headers,
  }
  const signature = await signMessage(makeMessage(method, url, Object.entries(headers)), {
    keyid: 'acme',
    alg: 'hmac-sha256',
    key: await acmeKey(),
    components: ['@method', '@target-uri', 'content-digest'],
    created: now,
    expires: now + 60,
    nonce: `nonce-${made++}-${now}`,
    ...parts.spec,
  })
  return new Request(url, {
    method,
    headers: forge({ ...headers, ...signature }),
    ...(body !== undefined && { body }),
  })
}
