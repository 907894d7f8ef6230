import { expect, it } from 'vitest'
import * as z from 'zod/mini'
import { routesFile } from '../../src/config/routes-file.ts'

interface JsonSchema {
  readonly description?: string
  readonly not?: object
  readonly items?: JsonSchema
  readonly additionalProperties?: JsonSchema | boolean
  readonly oneOf?: readonly JsonSchema[]
  readonly anyOf?: readonly JsonSchema[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
}

/** Every field of the format, with its description. */
function fieldsOf(schema: JsonSchema, at = ''): [field: string, sentence: string | undefined][] {
  const { items, additionalProperties, oneOf = [], anyOf = [], properties = {} } = schema
  const below = [
    ...oneOf,
    ...anyOf,
    ...(items ? [items] : []),
    ...(typeof additionalProperties === 'object' ? [additionalProperties] : []),
  ]
  return [
    ...below.flatMap((inner) => fieldsOf(inner, at)),
    ...Object.entries(properties).flatMap(([key, field]): [string, string | undefined][] =>
      // Keys that are not supported yet are not fields.
      field.not ? [] : [[`${at}.${key}`, field.description], ...fieldsOf(field, `${at}.${key}`)],
    ),
  ]
}

it('every field has a sentence of its own', () => {
  const fields = fieldsOf(z.toJSONSchema(routesFile, { io: 'input', unrepresentable: 'any' }) as JsonSchema)
  expect(fields.length).toBeGreaterThan(100)
  // docs/policies.md describes the purpose of each policy.
  const bare = fields.filter(([field, sentence]) => sentence === undefined && !/^\.routes\.policies\.\w+$/.test(field))
  expect(bare.map(([field]) => field)).toEqual([])
})
