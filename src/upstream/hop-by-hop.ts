const PROXY_FIELDS = ['proxy-authenticate', 'proxy-connection']

/**
 * `response` to a `method` request, whose headers are `headers`, without what was meant for this hop alone (RFC 9110 §7.6.1); copied only when there is
 * such a thing. workerd itself drops Connection, Keep-Alive, Trailer, TE, Upgrade and Transfer-Encoding; what Connection names and the Proxy- fields it
 * passes on.
 */
export function stripHopByHop(response: Response, headers: Headers, method: string): Response {
  const connection = headers.get('connection')
  const isPlain = connection === null || connection === 'keep-alive' || connection === 'close'
  const named = isPlain ? PROXY_FIELDS : [...PROXY_FIELDS, ...parseNames(connection)]
  const names = method === 'HEAD' && isFramedTwice(headers) ? [...named, 'content-length'] : named
  if (!names.some((name) => headers.has(name))) return response
  const stripped = new Response(response.body, response)
  for (const name of names) stripped.headers.delete(name)
  return stripped
}

/** A length beside chunks is no length and has to go (RFC 9112 §6.3). Where there is a body workerd sees to that; for HEAD it would not answer at all. */
function isFramedTwice(headers: Headers): boolean {
  return headers.has('transfer-encoding') && headers.has('content-length')
}

function parseNames(connection: string): string[] {
  const options = connection.split(',').map((option) => option.trim())
  return options.filter((option) => /^[!#$%&'*+\-.^_`|~\w]+$/.test(option))
}
