/** Every refusal that the gateway itself makes: its code, status and title. docs/problems.md is generated from here. */
export const PROBLEMS = {
  // the request itself
  'path-invalid': [400, 'The path holds an escape or a character that is not allowed'],
  'header-invalid': [400, 'A header is not allowed'],
  'uri-too-long': [414, 'The URL is too long'],
  'headers-too-large': [431, 'There are too many headers, or they are too large'],
  'not-found': [404, 'No route for this path'],
  'method-not-allowed': [405, 'The path exists, but not with this method'],
  'method-not-implemented': [501, 'The gateway does not support this method'],
  'body-too-large': [413, 'The body is larger than this route allows'],
  'body-timeout': [408, 'The body of the request did not arrive in time'],
  'upload-timeout': [408, 'The body of the request paused for too long'],
  'cors-refused': [403, 'The origin, method or headers are not allowed across origins'],
  'ip-refused': [403, 'This client address is not allowed'],
  'geo-refused': [403, 'Calls from this country or network are not allowed'],
  'bot-refused': [403, 'Calls by bots are not allowed'],
  'rule-refused': [403, 'A rule of this route does not let the request in'],
  'https-required': [403, 'This route requires https'],
  // identity
  'credentials-missing': [401, 'The request carries none of the credentials that this route accepts'],
  'token-missing': [401, 'A bearer token is required'],
  'bearer-malformed': [400, 'Authorization does not hold exactly one bearer token'],
  'token-malformed': [401, 'The token is not a well-formed JWT'],
  'token-too-large': [401, 'The token is larger than 32 KiB'],
  'token-algorithm': [401, 'The token is signed with an algorithm that is not allowed'],
  'token-key-unknown': [401, 'The token names a key that its issuer does not publish'],
  'token-signature': [401, 'The signature of the token does not match'],
  'token-expired': [401, 'The token has expired'],
  'token-not-yet-valid': [401, 'The token is not valid yet'],
  'token-issuer': [401, 'The token comes from an issuer that this route does not accept'],
  'token-audience': [401, 'The token is meant for another audience'],
  'token-claims': [401, 'A claim that the token needs is missing or has the wrong type'],
  'token-revoked': [401, 'The credential has been revoked'],
  'token-inactive': [401, 'The issuer of the token reports that it is not active'],
  'api-key-missing': [401, 'An API key is required'],
  'api-key-invalid': [401, 'The API key is unknown'],
  'api-key-expired': [401, 'The API key has expired'],
  'api-key-revoked': [401, 'The API key has been revoked'],
  'certificate-missing': [401, 'A client certificate is required'],
  'certificate-invalid': [401, 'The client certificate could not be verified, or is revoked'],
  'certificate-subject': [401, 'The subject of the client certificate is not one that this route accepts'],
  'certificate-unavailable': [503, 'The platform does not provide the client certificate'],
  'signature-missing': [401, 'A signed request is required'],
  'signature-malformed': [400, 'Signature-Input and Signature are not a well-formed pair'],
  'signature-key-unknown': [401, 'The signature names an unknown key'],
  'signature-algorithm': [401, 'The algorithm of the signature is not that of its key'],
  'signature-components': [
    401,
    'The signature does not cover a required component, or covers one that the request lacks',
  ],
  'signature-parameters': [401, 'The signature lacks a created time or a nonce'],
  'signature-invalid': [401, 'The signature does not match the request'],
  'signature-expired': [401, 'The signature is too old'],
  'signature-not-yet-valid': [401, 'The signature is not valid yet'],
  'signature-replayed': [401, 'The nonce of the signature has been used before'],
  'digest-mismatch': [401, 'The body does not match the signed digest'],
  'nonce-store-unavailable': [503, 'The store of used nonces cannot be reached'],
  'scope-missing': [403, 'The caller lacks a scope that this route requires'],
  'role-missing': [403, 'The caller lacks a role that this route requires'],
  'claim-mismatch': [403, 'A claim of the caller is not what this route requires'],
  'keys-unavailable': [503, 'The keys of the token issuer cannot be fetched'],
  'introspection-unavailable': [503, 'The token cannot be introspected at its issuer'],
  'revocation-unavailable': [503, 'The store of revocations cannot be reached'],
  'identity-unavailable': [503, 'The store of identities cannot be reached'],
  'not-configured': [503, 'A secret that this route needs is not set'],
  // the OAuth endpoints
  'login-failed': [401, 'The username or the password is wrong'],
  'inactive-user': [400, 'The user is disabled'],
  'user-unknown': [401, 'The user of the token does not exist'],
  'client-invalid': [401, 'The client is unknown, or its authentication failed'],
  'grant-invalid': [400, 'The grant is invalid or has expired'],
  'grant-unsupported': [400, 'This grant type is not supported'],
  'grant-not-allowed': [400, 'The client is not allowed to use this grant'],
  'scope-invalid': [400, 'A requested scope cannot be granted'],
  'form-invalid': [400, 'The form is malformed'],
  'login-busy': [503, 'There are too many logins at the moment'],
  // limits
  'quota-exceeded': [429, 'The request rate limit is reached'],
  'limit-store-unavailable': [503, 'The store of the rate limits cannot be reached'],
  // the cache
  'not-stored': [504, 'Only a stored response was requested, and there is none'],
  // upstreams
  'circuit-open': [503, 'The circuit breaker of the upstream is open'],
  overloaded: [503, 'The upstream has reached its limit of concurrent requests'],
  'no-target': [503, 'No target of the upstream is available'],
  'upstream-timeout': [504, 'The upstream did not respond in time'],
  'upstream-unreachable': [502, 'The connection to the upstream failed'],
  'upstream-protocol': [502, 'The upstream sent something that is not a final HTTP response'],
  'client-gone': [499, 'The client closed the connection before there was a response'],
  // the admin endpoints
  'admin-not-found': [404, 'There is no object of this name'],
  'admin-invalid': [400, 'The change is invalid'],
  'admin-exists': [409, 'An object of this name exists already'],
  'admin-full': [409, 'The limit of objects of this kind is reached'],
  'bootstrap-refused': [401, 'The bootstrap token is missing or wrong'],
  'bootstrap-over': [409, 'A user exists already: the first one cannot be created again'],
  'media-type-unsupported': [415, 'The media type of the body is not supported'],
  'state-unavailable': [503, 'The object that keeps this state cannot be reached'],
  // the gateway
  'internal-error': [500, 'An unexpected error occurred in the gateway'],
} as const satisfies Readonly<Record<string, readonly [status: number, title: string]>>

/** Stable once released: clients, logs and spans identify a refusal by it, as `code` in the body. */
export type ProblemCode = keyof typeof PROBLEMS

/** The parts of a refusal besides its code. `headers` (lower-case names) and `members` replace those that `problem` sets. */
export interface ProblemExtras {
  /** The error in this request, for its sender. Never an upstream's address, a stack or a secret. */
  readonly detail?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Extension members (RFC 9457 §3.2). */
  readonly members?: Readonly<Record<string, unknown>>
}

/** The IETF rate-limit draft defines this type; the others are the gateway's own. */
const QUOTA_EXCEEDED_TYPE = 'https://iana.org/assignments/http-problem-types#quota-exceeded'

const codes = new WeakMap<Response, ProblemCode>()

/** A refusal as `application/problem+json` (RFC 9457). Return it; do not throw it. */
export function problem(code: ProblemCode, extras: ProblemExtras = {}): Response {
  const [status, title] = PROBLEMS[code]
  const type = code === 'quota-exceeded' ? QUOTA_EXCEEDED_TYPE : `urn:umbral:problem:${code}`
  const body = { type, title, status, code, ...(extras.detail && { detail: extras.detail }), ...extras.members }
  const response = new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...extras.headers },
  })
  codes.set(response, code)
  return response
}

/** The code of a response that `problem` made; undefined for every other response. */
export function problemCode(response: Response): ProblemCode | undefined {
  return codes.get(response)
}
