import * as z from 'zod/mini'
import { parseRequestAttribute } from './request-attribute.ts'
import { expected } from '../config/schema/scalars.ts'

/** Whether a text names something of a request that stays the same for one caller. */
const isSticky = (text: string) => /^(?:ip|jwt|header)$/.test(parseRequestAttribute(text)?.kind ?? '')

/** What keeps one caller with one choice: `client.ip`, `jwt.<claim>` or `header:<name>`. */
export const stickyKey = z
  .string()
  .check(z.refine(isSticky, expected('expected "client.ip", "jwt.<claim>" (such as "jwt.sub") or "header:<name>"')))
