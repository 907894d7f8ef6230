import type { IncomingMessage } from 'node:http'
import { makeDice } from './dice.ts'
import { commandLine, serveCollection } from './rest.ts'

const STATES = ['placed', 'paid', 'shipped', 'delivered', 'returned']
const FIRST_DAY = Date.UTC(2026, 0, 1)

const dice = makeDice(3)
const rows = Array.from({ length: 500 }, (_, index) => ({
  id: index + 1,
  user: String(1 + dice.number(300)),
  items: [{ product: 1 + dice.number(240), quantity: 1 + dice.number(4) }],
  status: dice.oneOf(STATES),
  placedAt: new Date(FIRST_DAY + index * 3_600_000).toISOString(),
}))

/** The user of an order comes from the gateway, which has authenticated the caller; a `user` in the body is ignored. */
function placeOrder(body: unknown, request: IncomingMessage): Record<string, unknown> | string {
  const items = (body as { items?: unknown } | undefined)?.items
  if (!Array.isArray(items) || items.length === 0) return 'items: expected at least one { product, quantity }.'
  const wrong = (items as unknown[]).findIndex((item) => {
    const { product, quantity } = (item ?? {}) as { product?: unknown; quantity?: unknown }
    return !Number.isInteger(product) || !Number.isInteger(quantity) || Number(quantity) < 1
  })
  if (wrong >= 0) return `items[${wrong}]: expected { product, quantity } as whole numbers.`
  const user = request.headers['x-user-id']
  if (typeof user !== 'string') return 'x-user-id: expected the caller, which the gateway adds.'
  return { user, items: items as unknown, status: 'placed', placedAt: new Date().toISOString() }
}

serveCollection({ name: 'orders', rows, filters: ['user', 'status'], create: placeOrder }, ...commandLine())
