import { timingSafeEqual } from 'node:crypto'
import type { Exchange } from '../../core/exchange.ts'
import { sha256Hex } from '../../identity/password.ts'
import type { OAuthClient } from '../../identity/types.ts'
import { refuseOAuth, type Form } from './endpoint.ts'
import type { IdentityClient } from '../../identity/api.ts'

/** What a request says of its client. */
interface Shown {
  readonly id: string
  readonly secret: string | undefined
}

/** Stands in for the secret of a client that has none: no text has it. */
const NO_SECRET = '0'.repeat(64)

/**
 * The client that a request names and proves to be (RFC 6749 §2.3), by `Authorization: Basic` or by `client_id` and `client_secret` in the form; undefined
 * when it names none. A public client has no secret and shows none.
 */
export async function authenticateOAuthClient(
  x: Exchange,
  form: Form,
  identity: IdentityClient,
): Promise<OAuthClient | undefined | Response> {
  const shown = readClient(x.request.headers.get('authorization'), form)
  if (shown === undefined || shown instanceof Response) return shown
  const found = await identity.clientCredentials(shown.id)
  if (found === 'unavailable') return refuseOAuth('state-unavailable')
  const { client, secretHash } = found === 'unknown' ? { client: undefined, secretHash: NO_SECRET } : found
  if (secretHash === undefined) return client && !client.disabled && !shown.secret ? client : invalidOAuthClient()
  const isRight = timingSafeEqual(Buffer.from(sha256Hex(shown.secret ?? '')), Buffer.from(secretHash))
  return client && !client.disabled && isRight ? client : invalidOAuthClient()
}

/** 401 with the one scheme that clients can use in a header (RFC 6749 §5.2). */
export function invalidOAuthClient(): Response {
  return refuseOAuth('client-invalid', undefined, { 'www-authenticate': 'Basic realm="oauth", charset="UTF-8"' })
}

function readClient(authorization: string | null, form: Form): Shown | undefined | Response {
  const basic = /^basic(?: +(.*))?$/i.exec(authorization ?? '')
  const [id, secret] = [form.get('client_id'), form.get('client_secret')]
  const inHeader = basic === null ? undefined : parseBasic(basic[1] ?? '')
  if (basic !== null && inHeader === undefined) return invalidOAuthClient()
  // An empty name is what form-filling clients send that know no client, such as Swagger UI.
  if (inHeader && (inHeader.id !== '' || inHeader.secret !== undefined)) {
    const isTwice = secret !== undefined || (id !== undefined && id !== inHeader.id)
    return isTwice ? refuseOAuth('form-invalid', 'the client shows who it is in two ways') : inHeader
  }
  if (id === undefined && secret !== undefined) return refuseOAuth('form-invalid', 'client_secret needs client_id')
  return id === undefined ? undefined : { id, secret }
}

/** Both parts are form-encoded before they are joined (RFC 6749 §2.3.1). */
function parseBasic(encoded: string): Shown | undefined {
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
