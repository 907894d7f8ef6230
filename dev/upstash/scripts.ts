import { createHash } from 'node:crypto'

/** A flag of Upstash's own servers. Stock Redis refuses a script that carries it. */
const UPSTASH_SHEBANG = /^#!lua flags=allow-key-locking[^\n]*\n/

const sha1 = (text: string) => createHash('sha1').update(text).digest('hex')

/** Makes a function that rewrites script commands for Upstash so that stock Redis runs them. Other commands stay as they are. */
export function makeScriptTranslator(): (command: readonly string[]) => readonly string[] {
  const strippedSha = new Map<string, string>()
  const strip = (script: string) => {
    const stripped = script.replace(UPSTASH_SHEBANG, '')
    if (stripped !== script) strippedSha.set(sha1(script), sha1(stripped))
    return stripped
  }
  const translateSha = (sha: string) => strippedSha.get(sha.toLowerCase()) ?? sha
  return (command) => {
    const [name = '', first = '', ...rest] = command
    switch (name.toUpperCase()) {
      case 'EVAL':
      case 'EVAL_RO':
        return [name, strip(first), ...rest]
      case 'EVALSHA':
      case 'EVALSHA_RO':
        return [name, translateSha(first), ...rest]
      case 'SCRIPT':
        if (/^load$/i.test(first)) return [name, first, ...rest.map(strip)]
        return /^exists$/i.test(first) ? [name, first, ...rest.map(translateSha)] : command
      default:
        return command
    }
  }
}
