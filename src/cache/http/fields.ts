import type { StoredHead } from './entry.ts'

/** Header fields to read by lower-case name, all lines of one name joined with commas (RFC 9110 §5.3); `Headers` are such. */
export interface Fields {
  get(name: string): string | null
}

/** The fields of a stored answer. */
export function fieldsOf(headers: StoredHead['headers']): Fields {
  return {
    get(name) {
      let value: string | null = null
      for (const [other, text] of headers) if (other === name) value = value === null ? text : `${value}, ${text}`
      return value
    },
  }
}

/** The members of a list of names in lower case (RFC 9110 §5.6.1), empty ones left out; undefined when one of them is no token. */
export function parseNames(list: string): string[] | undefined {
  const names = list.split(',').map((name) => name.trim().toLowerCase())
  const found = names.filter((name) => name !== '')
  return found.every((name) => /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)) ? found : undefined
}
