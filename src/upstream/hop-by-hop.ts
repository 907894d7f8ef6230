const PROXY_FIELDS = ['proxy-authenticate', 'proxy-connection']

/**
 * `response`, whose headers are `headers`, without what was meant for this hop alone (RFC 9110 §7.6.1); copied only when there is such a thing. workerd itself
 * drops Connection, Keep-Alive, Trailer, TE, Upgrade and Transfer-Encoding; what Connection names and the Proxy- fields it passes on.
 */
export function stripHopByHop(response: Response, headers: Headers): Response {
  const connection = headers.get('connection')
  const isPlain = connection === null || connection === 'keep-alive' || connection === 'close'
  const names = isPlain ? PROXY_FIELDS : [...PROXY_FIELDS, ...parseNames(connection)]
  if (!names.some((name) => headers.has(name))) return response
  const stripped = new Response(response.body, response)
  for (const name of names) stripped.headers.delete(name)
  return stripped
}

function parseNames(connection: string): string[] {
  const options = connection.split(',').map((option) => option.trim())
  return options.filter((option) => /^[!#$%&'*+\-.^_`|~\w]+$/.test(option))
}
