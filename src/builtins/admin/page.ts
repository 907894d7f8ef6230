import * as z from 'zod/mini'
import { expected } from '../../config/schema/scalars.ts'
import type { Page } from '../../identity/types.ts'
import { checked } from './change.ts'

const LIMIT_EXPECTED = 'expected a number from 1 to 200'

/** The query of every list. */
export const pageQuery = z.strictObject({
  after: z.exactOptional(z.string().check(z.minLength(1), z.maxLength(512))),
  limit: z.exactOptional(
    z.pipe(
      z.string().check(z.regex(/^(?:[1-9]\d?|1\d\d|200)$/, expected(LIMIT_EXPECTED))),
      z.transform((text: string) => Number(text)),
    ),
  ),
})

/** What a list's query asks for, or the refusal: 400 with the field and what was expected. Of a field given twice the last counts. */
export function readQuery<Schema extends z.ZodMiniType>(
  query: URLSearchParams,
  schema: Schema,
): z.output<Schema> | Response {
  const read = checked(Object.fromEntries(query), schema)
  return read instanceof Response ? read : read.change
}

/** A page as it is answered: `next` is the `after` of the next page, null on the last. */
export function shownPage<T>(name: string, { items, next }: Page<T>, view: (item: T) => object): object {
  return { [name]: items.map(view), next: next ?? null }
}
