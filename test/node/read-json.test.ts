import { describe, expect, it } from 'vitest'
import { readJson } from '../../dev/read-json.ts'
import { diagnosticText } from '../../src/config/schema/diagnostic.ts'

const diagnostics = (text: string) => readJson('r.json', text).diagnostics.map(diagnosticText)

describe('readJson', () => {
  it('reads what JSON.parse reads, and passes over a byte order mark', () => {
    const text = '{ "a": [1, -2.5e3, "\\u00e4", null, true], "__proto__": { "b": {} } }'
    expect(readJson('r.json', `\uFEFF${text}`)).toEqual({ json: JSON.parse(text), diagnostics: [] })
  })

  it.each([
    ['r.json', 'version: 1\nupstreams:\n  users: {}\n'],
    ['r.json', '# mine\n\nversion: 1\n'],
    ['r.json', '---\nversion: 1\n'],
    ['r.json', '- a\n- b\n'],
    ['r.json', '# mine\r\nversion: 1\r\n'],
    ['r.json', '%YAML 1.2\n---\nversion: 1\n'],
    ['r.yaml', '"version": 1\n'],
    ['R.YML', 'anything'],
  ])('%s with %j is told to be YAML', (file, text) => {
    expect(() => readJson(file, text)).toThrow(
      `${file}:1:1: this is YAML; expected JSON, into which "yq -o=json" and others convert it`,
    )
  })

  it('reads JSON whatever its name is', () => {
    expect(readJson('r.yaml', '{ "version": 1 }').json).toEqual({ version: 1 })
  })

  it('names a key that stands twice by its path and both lines', () => {
    expect(diagnostics('{\n"routes": [\n{ "policies": { "auth": {} },\n\n"policies": {} }\n]\n}')).toEqual([
      'routes[0].policies: stands twice (lines 3 and 5)',
    ])
  })

  it.each([
    ['{"a":1,"a":2}', ['a: stands twice (in line 1)']],
    ['{"a":1,"\\u0061":2}', ['a: stands twice (in line 1)']],
    ['{"__proto__":1,"__proto__":2}', ['__proto__: stands twice (in line 1)']],
    [
      '{"a":1,"a":{"b":1,\n"b":2},\n"a":3}',
      ['a: stands', 'a.b: stands twice (lines 1 and 2)', 'a: stands twice (lines 1 and 3)'],
    ],
    ['[{"a":1},{"a":1},{"b":{"a":1}}]', []],
  ])('finds in %j: %j', (text, expected) => {
    expect(diagnostics(text)).toEqual(expected.map((line) => expect.stringContaining(line) as string))
  })

  it.each([
    ['{\n  "a": 1,\n}', 'r.json:2:9: a comma with nothing after it; take it away'],
    ['[1, 2,]', 'r.json:1:6: a comma with nothing after it; take it away'],
    ['{\n  // all\n  "a": 1\n}', 'r.json:2:3: a comment; JSON has none'],
    ['{ "a": 1 /* all */ }', 'r.json:1:10: a comment; JSON has none'],
    ['{ "a": 1\n  "b": 2 }', 'r.json:2:3: expected "," or the end of the list or object; found "\\"b\\""'],
    ['{ "a" 1 }', 'r.json:1:7: expected ":" after the key; found "1"'],
    ["{ 'a': 1 }", `r.json:1:3: expected text in double quotes, a number, true, false or null; found "'a'"`],
    ['{ "a": 1', 'r.json:1:9: expected "}"; the file ends'],
    ['', 'r.json:1:1: expected a value; the file ends'],
    ['{} {}', 'r.json:1:4: expected the end of the file; found "{"'],
    ['{ "a": "b\n" }', 'r.json:1:8: a text that does not end on its line; expected another double quote'],
    ['{ "a": "b\tc" }', 'r.json:1:8: a control character inside a text; write it as an escape, such as "\\t"'],
    ['{ "a": "\\x" }', 'r.json:1:8: an escape that JSON does not have; a backslash itself is written "\\\\"'],
    ['{ "a": 01 }', 'r.json:1:9: expected "," or the end of the list or object; found "1"'],
  ])('says where and what in %j', (text, message) => {
    expect(() => readJson('r.json', text)).toThrow(new Error(message))
    expect(() => JSON.parse(text) as unknown).toThrow()
  })
})
