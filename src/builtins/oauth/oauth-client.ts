import { timingSafeEqual } from 'node:crypto'
import type { Exchange } from '../../core/exchange.ts'
import type { IdentityClient } from '../../identity/api.ts'
import { sha256Hex } from '../../identity/password.ts'
import type { OAuthClient } from '../../identity/types.ts'
import { oauthError, type Form } from './endpoint.ts'

/** The client id and secret that a request presents. */
interface PresentedCredentials {
  readonly id: string
  readonly secret: string | undefined
}

/** Compared in place of the hash of an unknown OAuth client's secret. No text has it. */
const DUMMY_HASH = '0'.repeat(64)

/**
 * Authenticates the OAuth client of a request (RFC 6749 §2.3) by `Authorization: Basic` or by `client_id` and `client_secret` in the form.
 * Undefined when the request names none. A public client has no secret and must present none.
 */
export async function authenticateOAuthClient(
  x: Exchange,
  form: Form,
  identity: IdentityClient,
): Promise<OAuthClient | undefined | Response> {
  const presented = readCredentials(x.request.headers.get('authorization'), form)
  if (presented === undefined || presented instanceof Response) return presented
  const found = await identity.oauthClientCredentials(presented.id)
  if (found === 'unavailable') return oauthError('state-unavailable')
  const { oauthClient, secretHash } = found === 'unknown' ? { oauthClient: undefined, secretHash: DUMMY_HASH } : found
  const secretMatches =
    secretHash === undefined
      ? !presented.secret
      : timingSafeEqual(Buffer.from(sha256Hex(presented.secret ?? '')), Buffer.from(secretHash))
  return oauthClient && !oauthClient.disabled && secretMatches ? oauthClient : invalidOAuthClient()
}

/** The 401 response, which names the only scheme for a client in a header (RFC 6749 §5.2). */
export function invalidOAuthClient(): Response {
  return oauthError('client-invalid', undefined, { 'www-authenticate': 'Basic realm="oauth", charset="UTF-8"' })
}

function readCredentials(authorization: string | null, form: Form): PresentedCredentials | undefined | Response {
  const basic = /^basic(?: +(.*))?$/i.exec(authorization ?? '')
  const [id, secret] = [form.get('client_id'), form.get('client_secret')]
  const inHeader = basic === null ? undefined : parseBasic(basic[1] ?? '')
  if (basic !== null && inHeader === undefined) return invalidOAuthClient()
  // Clients with a login form, such as Swagger UI, send an empty id and secret when they are not configured.
  if (inHeader && (inHeader.id !== '' || inHeader.secret !== undefined)) {
    const isAmbiguous = secret !== undefined || (id !== undefined && id !== inHeader.id)
    return isAmbiguous ? oauthError('form-invalid', 'the client authenticates in two ways') : inHeader
  }
  if (id === undefined && secret !== undefined) return oauthError('form-invalid', 'client_secret needs client_id')
  return id === undefined ? undefined : { id, secret }
}

/** Parses Basic credentials, of which both parts are form-encoded (RFC 6749 §2.3.1). */
function parseBasic(encoded: string): PresentedCredentials | undefined {
  if (!/^[\w+/]+=*$/.test(encoded)) return undefined
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(encoded, 'base64'))
    const colon = text.indexOf(':')
    if (colon === -1) return undefined
    const decode = (part: string) => decodeURIComponent(part.replaceAll('+', ' '))
    const secret = decode(text.slice(colon + 1))
    return { id: decode(text.slice(0, colon)), secret: secret === '' ? undefined : secret }
  } catch {
    return undefined
  }
}
