import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

/** The `iss` of every token of the demo; the gateway's `authProviders` name it. */
const ISSUER = 'https://id.demo.example/'
const AUDIENCE = 'shop'
const LIFETIME_SECONDS = 3600

const { privateKey, publicKey } = await generateKeyPair('ES256')
const kid = `demo-${Date.now().toString(36)}`
const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }] })
const sharedSecret = new TextEncoder().encode(process.env.PARTNER_SECRET ?? '')

/**
 * Issues a token for any request, without authentication: this issuer is for demonstrations on a loopback address.
 * `alg=HS256` signs with the secret that the gateway shares with partners instead of the published key.
 */
function issue(parameters: URLSearchParams): Promise<string> {
  const shared = parameters.get('alg') === 'HS256'
  const token = new SignJWT({ scope: parameters.get('scope') ?? '', roles: parameters.getAll('role') })
    .setProtectedHeader(shared ? { alg: 'HS256' } : { alg: 'ES256', kid })
    .setIssuer(shared ? `${ISSUER}partners` : ISSUER)
    .setSubject(parameters.get('sub') ?? parameters.get('client_id') ?? 'anonymous')
    .setAudience(AUDIENCE)
    .setIssuedAt()
    .setExpirationTime(`${parameters.get('ttl') ?? LIFETIME_SECONDS}s`)
  return token.sign(shared ? sharedSecret : privateKey)
}

/** `GET /token?sub=&scope=&role=&ttl=&alg=` responds with the bare token, for `$(curl …)`; POST follows RFC 6749 §4.4. */
async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://issuer')
  if (url.pathname === '/health') return send(response, 200, '{"status":"healthy"}')
  if (url.pathname === '/.well-known/jwks.json') return send(response, 200, jwks)
  if (url.pathname !== '/token') return send(response, 404, '{"error":"not-found"}')
  if (request.method === 'GET') return send(response, 200, await issue(url.searchParams), 'text/plain')
  let form = ''
  for await (const chunk of request.setEncoding('utf8')) form += chunk as string
  const parameters = new URLSearchParams(form)
  if (parameters.get('grant_type') !== 'client_credentials')
    return send(response, 400, '{"error":"unsupported_grant_type"}')
  const body = { access_token: await issue(parameters), token_type: 'Bearer', expires_in: LIFETIME_SECONDS }
  send(response, 200, JSON.stringify(body))
}

function send(response: ServerResponse, status: number, body: string, type = 'application/json'): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
  response.end(body)
}

const server = createServer((request, response) => {
  handle(request, response).catch(() => send(response, 400, '{"error":"invalid_request"}'))
})
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1')
