/** Syntax of regular expressions that no path has, such as `^/users/[0-9]+$`, `~ ^/users`, `/users/(.*)` and `/(users|teams)`. */
const REGULAR_EXPRESSION = /^[\^~]|\.[*+]|\\|\(\?|\([^()/]*\||\[\^?\w-\w|\[[^\]]*\][*+?{]/

/** A segment that is a parameter of another router, with its name: `{id}`, `{id:int}`, `{id?}`, `<id>`, `<int:id>`, `[id]`, `:id?`, `:id<int>`. */
const PARAMETER =
  /^(?:\{([\w.-]+)(?::[^{}]*)?\??\}|<(?:\w+:)?([\w-]+)>|\[([A-Za-z_][\w-]*)\]|:([A-Za-z_]\w*)(?:\?|<[^<>]*>))$/

/** A last segment that stands for everything below: `**`, `*path`, `:path*`, `{path...}`, `{path+}`, `{*path}`, `{path:path}`, `<path:rest>`, `[...path]`. */
const REST =
  /^(?:\*\*|\*\w+|:\w+[*+]|\{(?:\*\*?|\+)[\w-]+\}|\{[\w-]+(?:\*|\+|\.\.\.|:path)\}|<path:\w+>|\[\[?\.\.\.[\w-]+\]\]?)$/

/** Whether a `match.path` is meant as a regular expression. */
export function isRegularExpression(path: string): boolean {
  return REGULAR_EXPRESSION.test(path)
}

/** The same path with the parameters of other routers as `:name` and a final `/*`. */
export function withColonNames(path: string): string {
  const segments = path.split('/')
  const written = segments.map((segment, i) => {
    if (i === segments.length - 1 && REST.test(segment)) return '*'
    const name = PARAMETER.exec(segment)?.slice(1).find(Boolean)
    return name === undefined ? segment : `:${name.replaceAll(/[.-]/g, '_')}`
  })
  return written.join('/')
}
