/** Every refusal that the gateway itself makes: its code, status and title. docs/problems.md is generated from here. */
export const PROBLEMS = {
  // the request itself
  'path-invalid': [400, 'The path holds an escape or a character that is not allowed'],
  'header-invalid': [400, 'A header is not allowed'],
  'uri-too-long': [414, 'The URL is too long'],
  'headers-too-large': [431, 'There are too many headers, or they are too large'],
  'not-found': [404, 'No route for this path'],
  'method-not-allowed': [405, 'The path exists, but not with this method'],
  'method-not-implemented': [501, 'The gateway does not know this method'],
  'body-too-large': [413, 'The body is larger than this route allows'],
  'cors-refused': [403, 'The origin, method or headers are not allowed across origins'],
  'ip-refused': [403, 'This client address is not allowed'],
  'geo-refused': [403, 'Calls from this country or network are not allowed'],
  'bot-refused': [403, 'Calls by programs are not allowed'],
  'rule-refused': [403, 'A rule of this route does not let the request in'],
  'https-required': [403, 'This can be asked for by https alone'],
  // identity
  'credentials-missing': [401, 'None of the credentials that this route takes came with the request'],
  'token-missing': [401, 'A bearer token is required'],
  'bearer-malformed': [400, 'Authorization holds something else than one bearer token'],
  'token-malformed': [401, 'The token is not a well-formed JWT'],
  'token-algorithm': [401, 'The token is signed with an algorithm that is not allowed'],
  'token-key-unknown': [401, 'The token names a key that its issuer does not publish'],
  'token-signature': [401, 'The signature of the token does not match'],
  'token-expired': [401, 'The token has expired'],
  'token-not-yet-valid': [401, 'The token is not valid yet'],
  'token-issuer': [401, 'The token comes from an issuer that this route does not accept'],
  'token-audience': [401, 'The token is meant for another audience'],
  'token-claims': [401, 'A claim that the token needs is missing or has the wrong type'],
  'token-revoked': [401, 'The credential has been revoked'],
  'token-inactive': [401, 'The issuer of the token says that it is not active'],
  'api-key-missing': [401, 'An API key is required'],
  'api-key-invalid': [401, 'The API key is not one that was given out'],
  'api-key-expired': [401, 'The API key has expired'],
  'api-key-revoked': [401, 'The API key has been revoked'],
  'certificate-missing': [401, 'A client certificate is required'],
  'certificate-invalid': [401, 'The client certificate could not be verified, or is revoked'],
  'certificate-subject': [401, 'The client certificate is not of a subject that this route accepts'],
  'certificate-unavailable': [503, 'The platform does not say which certificate the client has'],
  'signature-missing': [401, 'A signed request is required'],
  'signature-malformed': [400, 'Signature-Input and Signature are not a well-formed pair'],
  'signature-key-unknown': [401, 'The signature names no key that is known here'],
  'signature-algorithm': [401, 'The signature names another algorithm than its key has'],
  'signature-components': [401, 'The signature does not cover what it must, or covers what the request does not have'],
  'signature-parameters': [401, 'The signature lacks a created time or a nonce'],
  'signature-invalid': [401, 'The signature does not match the request'],
  'signature-expired': [401, 'The signature is too old'],
  'signature-not-yet-valid': [401, 'The signature is from the future'],
  'signature-replayed': [401, 'The nonce of the signature has been used before'],
  'digest-mismatch': [401, 'The body is not the one that was signed'],
  'nonce-store-unavailable': [503, 'The store of used nonces cannot be reached'],
  'scope-missing': [403, 'The caller lacks a scope that this route requires'],
  'role-missing': [403, 'The caller lacks a role that this route requires'],
  'claim-mismatch': [403, 'A claim of the caller is not what this route requires'],
  'keys-unavailable': [503, 'The keys of the token issuer cannot be fetched'],
  'introspection-unavailable': [503, 'The issuer of the token cannot be asked about it'],
  'revocation-unavailable': [503, 'Nobody can be asked whether the credential has been revoked'],
  'identity-unavailable': [503, 'The store of identities cannot be asked'],
  'not-configured': [503, 'A secret that this route needs is not set'],
  // the OAuth endpoints
  'login-failed': [401, 'The username or the password is wrong'],
  'inactive-user': [400, 'The user is disabled'],
  'user-unknown': [401, 'The token is of no user that there is'],
  'client-invalid': [401, 'The client is not known, or has not shown that it is this client'],
  'grant-invalid': [400, 'The grant is not good, or not any more'],
  'grant-unsupported': [400, 'This grant type is not taken here'],
  'grant-not-allowed': [400, 'The client may not do this'],
  'scope-invalid': [400, 'More scopes are asked for than may be granted'],
  'form-invalid': [400, 'The form is not one that is taken here'],
  'login-busy': [503, 'There are too many logins at this moment'],
  // limits
  'quota-exceeded': [429, 'The request rate limit is reached'],
  'limit-store-unavailable': [503, 'The store of the rate limits cannot be reached'],
  // the cache
  'not-stored': [504, 'Only a stored answer was asked for, and there is none'],
  // upstreams
  'circuit-open': [503, 'The upstream is failing and is being left alone for a while'],
  overloaded: [503, 'The upstream has as many requests as it may have at once'],
  'no-target': [503, 'No target of the upstream may be used'],
  'upstream-timeout': [504, 'The upstream did not answer in time'],
  'upstream-unreachable': [502, 'The connection to the upstream failed'],
  'upstream-protocol': [502, 'The upstream answered with something that is not a final HTTP response'],
  'client-gone': [499, 'The client closed the connection before there was an answer'],
  // the admin endpoints
  'admin-not-found': [404, 'There is nothing of this name to see or steer'],
  'admin-invalid': [400, 'The change is not one that can be made'],
  'admin-exists': [409, 'There is one of this name already'],
  'admin-full': [409, 'There are as many of this kind as there may be'],
  'bootstrap-refused': [401, 'The bootstrap token is missing or wrong'],
  'bootstrap-over': [409, 'There is a user already: the first one cannot be made again'],
  'media-type-unsupported': [415, 'The body is not of a type that is taken here'],
  'state-unavailable': [503, 'The object that keeps this state cannot be reached'],
  // the gateway
  'internal-error': [500, 'Something went wrong in the gateway'],
} as const satisfies Readonly<Record<string, readonly [status: number, title: string]>>

/** Stays what it is once released: clients tell refusals apart by it, as `code` in the body, and so do logs and spans. */
export type ProblemCode = keyof typeof PROBLEMS

/** What one refusal says beyond its code. `headers`, in lower case, and `members` replace what `problem` says itself. */
export interface ProblemExtras {
  /** What went wrong in this request, for its sender. Never an upstream's address, a stack or a secret. */
  readonly detail?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Extension members (RFC 9457 §3.2). */
  readonly members?: Readonly<Record<string, unknown>>
}

/** The IETF rate-limit draft names this type; the others are the gateway's own. */
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
