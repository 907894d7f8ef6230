import { expect, test } from 'vitest'
import storage from '../../deploy/cache-worker.ts'

/** In the head and in the key: 192 KB an entry, and no body. */
const FILLER = 'h'.repeat(128 * 1024)
const urlOf = (nth: number) => `http://cache.test/${nth}/${FILLER}`

const put = (nth: number) =>
  storage.fetch(
    new Request(urlOf(nth), {
      method: 'PUT',
      body: `HTTP/1.1 200 OK\r\nx-head: ${FILLER.slice(0, 64_000)}\r\n\r\n`,
    }),
  )
const find = async (nth: number) => (await storage.fetch(new Request(urlOf(nth)))).headers.get('cf-cache-status')

test('the store of a self-hosted gateway is bounded by all that entries take, not by their bodies alone', async () => {
  for (let nth = 0; nth < 400; nth++) await put(nth)
  expect([await find(0), await find(399)]).toEqual(['MISS', 'HIT'])
})
