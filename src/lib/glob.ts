/**
 * Compiles a pattern in which `*` is any run of characters, also none, and everything else is itself in any case; it must fit the whole text.
 * It goes through a text once, and never back: no text makes it slow, as texts can make a regular expression.
 */
export function compileGlob(pattern: string): (text: string) => boolean {
  const [head = '', ...rest] = pattern.toLowerCase().split('*')
  const tail = rest.pop()
  if (tail === undefined) return (text) => text.toLowerCase() === head
  return (written) => {
    const text = written.toLowerCase()
    if (!text.startsWith(head) || !text.endsWith(tail)) return false
    // The first place that fits leaves the most room for what follows.
    let at = head.length
    for (const part of rest) {
      const found = text.indexOf(part, at)
      if (found === -1) return false
      at = found + part.length
    }
    // Nothing may be used twice: `a*a` does not fit `a`.
    return at + tail.length <= text.length
  }
}
