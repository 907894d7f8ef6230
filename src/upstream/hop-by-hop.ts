import type { HeaderEdit } from '../exchange.ts'

/**
 * Removes from the answer what was meant for this hop alone (RFC 9110 §7.6.1). workerd itself drops Connection, Keep-Alive,
 * Trailer, TE, Upgrade and Transfer-Encoding; what Connection names and the Proxy- fields it passes on.
 */
export function stripHopByHop(headers: Headers, edits: HeaderEdit[]): void {
  const connection = headers.get('connection')
  if (connection !== null && connection !== 'keep-alive' && connection !== 'close') {
    for (const option of connection.split(',')) removeIfPresent(option.trim().toLowerCase(), headers, edits)
  }
  if (headers.has('proxy-authenticate')) removeIfPresent('proxy-authenticate', headers, edits)
  if (headers.has('proxy-connection')) removeIfPresent('proxy-connection', headers, edits)
}

function removeIfPresent(name: string, headers: Headers, edits: HeaderEdit[]): void {
  const isToken = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)
  if (isToken && headers.has(name)) edits.push({ op: 'remove', name, value: '' })
}
