import type { CacheConfig } from '../cache/config.ts'
import { parseRequestAttribute, type RequestAttribute } from '../core/request-attribute.ts'
import { templateReferences } from '../core/template.ts'
import type { Diagnostic } from './schema/diagnostic.ts'
import type { RouteConfig } from './routes-file.ts'

/** What is read here of the policies that shape a request. */
interface Shaping {
  readonly cache?: CacheConfig | null
  readonly rewrite?: {
    readonly path?: string
    readonly query?: { readonly set: Readonly<Record<string, string>> }
  } | null
  readonly headers?: {
    readonly request?: {
      readonly set?: Readonly<Record<string, string>>
      readonly add?: Readonly<Record<string, string>>
    }
  } | null
  readonly split?: readonly { readonly stickyOn?: string; readonly overrideHeader?: string }[] | null
}

/** Templates that would write into a request what no key covers: one caller's answer would be another one's. */
export function checkCached({ policies }: RouteConfig, at: Diagnostic['path']): Diagnostic[] {
  const { cache, rewrite, headers, split } = policies as Shaping
  if (cache == null) return []
  const texts: [path: string[], text: string][] = [
    ...(rewrite?.path === undefined ? [] : [[['rewrite', 'path'], rewrite.path] as [string[], string]]),
    ...entries(['rewrite', 'query', 'set'], rewrite?.query?.set),
    ...entries(['headers', 'request', 'set'], headers?.request?.set),
    ...entries(['headers', 'request', 'add'], headers?.request?.add),
  ]
  const diagnostics = texts.flatMap(([path, text]) => {
    const open = templateReferences(text).find((reference) => !isCovered(reference, cache.key))
    if (open === undefined) return []
    const message = `"{${open}}" is not part of the cache’s key, so that one caller would get what another asked for; ${expectedFor(open)}`
    return [{ path: [...at, 'policies', ...path], message }]
  })
  return [...diagnostics, ...checkSides(split ?? [], cache, [...at, 'policies', 'split'])]
}

/** What decides which upstream answers: one caller's side would be everybody's. */
function checkSides(split: NonNullable<Shaping['split']>, { key }: CacheConfig, at: Diagnostic['path']): Diagnostic[] {
  return split.flatMap(({ stickyOn, overrideHeader }, i) => {
    const parts = { stickyOn, overrideHeader: overrideHeader && `header:${overrideHeader}` }
    return Object.entries(parts).flatMap(([name, text]) => {
      const part = text === undefined ? undefined : parseRequestAttribute(text)
      if (part === undefined || isPartOf(key, part)) return []
      const expected = part.kind === 'header' ? `expected "${part.name}" among its "headers"` : expectedFor(text!)
      const message = `"${text}" is not part of the cache’s key, so that one caller’s side would be everybody’s; ${expected}`
      return [{ path: [...at, i, name], message }]
    })
  })
}

function isPartOf(key: CacheConfig['key'], part: RequestAttribute): boolean {
  if (part.kind === 'header') return key.headers.includes(part.name)
  return part.kind === 'jwt' && isCovered(`jwt.${part.name}`, key)
}

const entries = (path: string[], fields: Readonly<Record<string, string>> = {}): [string[], string][] =>
  Object.entries(fields).map(([name, text]) => [[...path, name], text])

/** A request's own id and method tell nobody's answer apart: the one is for logs, the other is GET. */
function isCovered(reference: string, { identity, tenantClaim = 'tenant' }: CacheConfig['key']): boolean {
  if (reference.startsWith('client.')) return false
  if (!reference.startsWith('jwt.')) return true
  return identity === 'sub' || (identity === 'tenant' && reference === `jwt.${tenantClaim}`)
}

const expectedFor = (reference: string): string =>
  reference.startsWith('jwt.')
    ? 'expected "cache": { "key": { "identity": "sub" } }'
    : 'expected no such reference beside "cache"'
