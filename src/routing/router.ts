import { bySpecificity, makeCandidates, meetsConditions, type Candidate, type Conditions } from './conditions.ts'
import { paramNames, parsePathPattern } from './path-pattern.ts'

export interface RouteMatch extends Conditions {
  readonly path: string
}

/** The route that answers, or the methods that would have found one (405), or neither (404). */
export type Found =
  | { readonly kind: 'route'; readonly index: number; readonly params: Readonly<Record<string, string>> }
  | { readonly kind: 'method'; readonly allow: readonly string[] }
  | { readonly kind: 'none' }

export type Router = (method: string, path: string, request: Request) => Found

interface Node {
  readonly literals: Map<string, Node>
  param: Node | undefined
  /** Routes whose path ends here. */
  readonly leaves: Candidate[]
  /** Routes whose path ends here with a `/*`. */
  readonly rests: Candidate[]
}

const makeNode = (): Node => ({ literals: new Map(), param: undefined, leaves: [], rests: [] })

/**
 * A trie of path segments. The most specific route wins whatever the file's order: segment by segment literal before `:name` before `/*`, then as
 * `bySpecificity` says. A lookup costs a Map access for each segment, whatever the number of routes.
 */
export function compileRouter(routes: readonly RouteMatch[]): Router {
  const root = makeNode()
  for (const [index, route] of routes.entries()) insert(root, index, route)
  return (method, path, request) => {
    const walk: Walk = { method, path, request, values: [], allow: undefined }
    return find(root, 1, walk) ?? (walk.allow ? { kind: 'method', allow: [...walk.allow] } : { kind: 'none' })
  }
}

function insert(root: Node, index: number, route: RouteMatch): void {
  const pattern = parsePathPattern(route.path)
  if (typeof pattern === 'string') throw new Error(`${route.path}: ${pattern}`)
  let node = root
  for (const segment of pattern.segments) {
    if (segment.kind === 'param') node = node.param ??= makeNode()
    else {
      const next = node.literals.get(segment.text) ?? makeNode()
      node.literals.set(segment.text, next)
      node = next
    }
  }
  const list = pattern.rest ? node.rests : node.leaves
  list.push(...makeCandidates(index, paramNames(pattern), route))
  list.sort(bySpecificity)
}

/** What one lookup carries down the trie. */
interface Walk {
  readonly method: string
  readonly path: string
  readonly request: Request
  /** The values of the `:name` segments passed so far. */
  readonly values: string[]
  allow: Set<string> | undefined
}

/** `at` is where the next segment begins, or past the end of the path. */
function find(node: Node, at: number, walk: Walk): Found | undefined {
  const { path } = walk
  if (at > path.length) return choose(node.leaves, walk, undefined) ?? choose(node.rests, walk, '')
  const slash = path.indexOf('/', at)
  const end = slash === -1 ? path.length : slash
  const segment = path.slice(at, end)
  const literal = node.literals.get(segment)
  const found = literal && find(literal, end + 1, walk)
  if (found) return found
  if (node.param && segment !== '') {
    walk.values.push(segment)
    const below = find(node.param, end + 1, walk)
    if (below) return below
    walk.values.pop()
  }
  return choose(node.rests, walk, path.slice(at))
}

function choose(candidates: readonly Candidate[], walk: Walk, rest: string | undefined): Found | undefined {
  for (const candidate of candidates) {
    if (!meetsConditions(candidate, walk.request)) continue
    if (candidate.methods === undefined || candidate.methods.has(walk.method)) {
      return { kind: 'route', index: candidate.route, params: paramsOf(candidate, walk.values, rest) }
    }
    walk.allow ??= new Set()
    for (const method of candidate.methods) walk.allow.add(method)
  }
  return undefined
}

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({})

function paramsOf(
  candidate: Candidate,
  values: readonly string[],
  rest: string | undefined,
): Readonly<Record<string, string>> {
  if (candidate.params.length === 0) return NO_PARAMS
  const params: Record<string, string> = {}
  for (const [i, name] of candidate.params.entries()) {
    params[name] = name === '*' ? (rest ?? '') : decodeParam(values[i]!)
  }
  return params
}

function decodeParam(value: string): string {
  return value.includes('%') ? decodeURIComponent(value) : value
}
