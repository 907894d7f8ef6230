import { parseTree, printParseErrorCode, type Node, type ParseError } from 'jsonc-parser'
import type { Diagnostic } from '../src/config/schema/diagnostic.ts'

/** The value of a JSON file, and the mistakes that `JSON.parse` does not report. */
export interface ReadJson {
  readonly json: unknown
  /** Keys that occur twice in one object. `JSON.parse` keeps the last, so a second `"policies": {}` could open a route. */
  readonly diagnostics: readonly Diagnostic[]
}

/** Parses strict JSON (RFC 8259) after an optional byte order mark. Throws an Error whose message is `FILE:LINE:COLUMN: ` and a sentence. */
export function readJson(file: string, contents: string): ReadJson {
  const text = contents.replace(/^\uFEFF/, '')
  const errors: ParseError[] = []
  const tree = parseTree(text, errors, { disallowComments: true, allowTrailingComma: false, allowEmptyContent: false })
  const [error] = errors
  if (error !== undefined) {
    const { offset, sentence } = isYaml(file, text) ? YAML : explain(text, error)
    throw new Error(`${place(file, text, offset)}: ${sentence}`)
  }
  return { json: JSON.parse(text) as unknown, diagnostics: tree === undefined ? [] : duplicateKeys(tree, text) }
}

const YAML = { offset: 0, sentence: 'this is YAML; expected JSON, into which "yq -o=json" and others convert it' }

/** Whether a file that is not JSON is YAML, by its name or by its first line: a key without quotes or braces, a directive, or a document marker. */
function isYaml(file: string, text: string): boolean {
  return /\.ya?ml$/i.test(file) || /^(?:[ \t]*(?:#.*)?\r?\n)*(?:- |%YAML |(?:---|[\w-]+:)(?:\s|$))/.test(text)
}

function explain(text: string, { error, offset, length }: ParseError): { offset: number; sentence: string } {
  const code = printParseErrorCode(error)
  const found = offset < text.length ? `found ${JSON.stringify(text.slice(offset, offset + length))}` : 'the file ends'
  const before = text.slice(0, offset).trimEnd()
  if ((code === 'PropertyNameExpected' || code === 'ValueExpected') && before.endsWith(',') && /[\]}]/.test(found)) {
    return { offset: before.length - 1, sentence: 'a comma with nothing after it; take it away' }
  }
  return { offset, sentence: SENTENCES[code]?.(found) ?? `not valid JSON (${code}); ${found}` }
}

const SENTENCES: Readonly<Record<string, (found: string) => string>> = {
  InvalidCommentToken: () => 'a comment; JSON has none',
  PropertyNameExpected: (found) => `expected a key in double quotes; ${found}`,
  ValueExpected: (found) => `expected a value; ${found}`,
  InvalidSymbol: (found) => `expected text in double quotes, a number, true, false or null; ${found}`,
  ColonExpected: (found) => `expected ":" after the key; ${found}`,
  CommaExpected: (found) => `expected "," or the end of the list or object; ${found}`,
  CloseBraceExpected: (found) => `expected "}"; ${found}`,
  CloseBracketExpected: (found) => `expected "]"; ${found}`,
  EndOfFileExpected: (found) => `expected the end of the file; ${found}`,
  UnexpectedEndOfString: () => 'a text that does not end on its line; expected another double quote',
  UnexpectedEndOfNumber: (found) => `expected a digit; ${found}`,
  InvalidCharacter: () => 'a control character inside a text; write it as an escape, such as "\\t"',
  InvalidEscapeCharacter: () => 'an escape that JSON does not have; a backslash itself is written "\\\\"',
  InvalidUnicode: () => 'expected four hexadecimal digits after "\\u"',
}

/** A diagnostic for every key that occurs earlier in its object, with both lines. */
function duplicateKeys(node: Node, text: string, path: Diagnostic['path'] = []): Diagnostic[] {
  const children = node.children ?? []
  if (node.type === 'array') return children.flatMap((child, i) => duplicateKeys(child, text, [...path, i]))
  const lines = new Map<string, number>()
  return children.flatMap(({ children: [key, value] = [] }) => {
    const name = key!.value as string
    const line = lineOf(text, key!.offset)
    const earlier = lines.get(name)
    lines.set(name, line)
    const below = value === undefined ? [] : duplicateKeys(value, text, [...path, name])
    return earlier === undefined
      ? below
      : [
          {
            path: [...path, name],
            message: `stands twice (${earlier === line ? `in line ${line}` : `lines ${earlier} and ${line}`})`,
          },
          ...below,
        ]
  })
}

function place(file: string, text: string, offset: number): string {
  return `${file}:${lineOf(text, offset)}:${offset - text.lastIndexOf('\n', offset - 1)}`
}

const lineOf = (text: string, offset: number) => text.slice(0, offset).split('\n').length
