import { expect, it } from 'vitest'
import type { EdgeCache } from '../../src/cache/api.ts'
import { makeTestPlatform } from '../support/platform.ts'
import { bytesOf, head, isolate, newKey, readAll, streamOf } from '../support/tiers.ts'

/** An isolate with a memory of its own, and what it asks of the cache that all share. */
function remembering() {
  const clock = { now: Date.now() }
  const asked: string[] = []
  const held: (() => void)[] = []
  const shared = makeTestPlatform().edgeCache
  const watched: EdgeCache = {
    async match(url) {
      asked.push('match')
      const found = await shared.match(url)
      if (state.isSlow) await new Promise<void>((go) => held.push(go))
      return found
    },
    put: (url, response) => {
      asked.push('put')
      return shared.put(url, response)
    },
    delete: (url) => {
      asked.push('delete')
      return shared.delete(url)
    },
  }
  const state = { isSlow: false }
  const one = isolate(undefined, { edgeCache: watched, now: () => clock.now })
  const keep = (key: string, bytes: Uint8Array, etag = '"a"') =>
    one.keep(key, { head: head({ headers: [['etag', etag]] }), body: streamOf(bytes) })
  const read = async (key: string) => {
    const found = await one.read(key)
    return found && { etag: found.head.headers[0]?.[1], bytes: await readAll(found.body) }
  }
  return { ...one, keep, read, clock, state, held, asked: () => asked.splice(0) }
}

it('asks the cache once in a second for a small answer, and gives the same bytes', async () => {
  const [one, key, bytes] = [remembering(), newKey(), bytesOf(40_000)]
  await one.keep(key, bytes)
  one.asked()
  for (let i = 0; i < 3; i++) expect(await one.read(key)).toEqual({ etag: '"a"', bytes })
  expect(one.asked()).toEqual(['match'])
  one.clock.now += 1_000
  expect(await one.read(key)).toEqual({ etag: '"a"', bytes })
  expect(one.asked()).toEqual(['match'])
})

it('sees after a second what another isolate has put in its place', async () => {
  const [one, other, key] = [remembering(), remembering(), newKey()]
  await one.keep(key, bytesOf(10), '"old"')
  expect(await one.read(key)).toMatchObject({ etag: '"old"' })
  await other.keep(key, bytesOf(10), '"new"')
  one.clock.now += 1_000
  expect(await one.read(key)).toMatchObject({ etag: '"new"' })
  await other.drop(key)
  expect(await other.read(key)).toBeUndefined()
  one.clock.now += 1_000
  expect(await one.read(key)).toBeUndefined()
})

it('knows at once what it has put or dropped itself, also while it is asking', async () => {
  const [one, key] = [remembering(), newKey()]
  await one.keep(key, bytesOf(10), '"old"')
  one.state.isSlow = true
  const late = one.read(key)
  await expect.poll(() => one.held.length).toBe(1)
  one.state.isSlow = false
  await one.keep(key, bytesOf(10), '"new"')
  one.held[0]!()
  await late
  expect(await one.read(key)).toMatchObject({ etag: '"new"' })
  await one.drop(key)
  expect(await one.read(key)).toBeUndefined()
})

it('holds no large bodies, and no more than 8 MiB', async () => {
  const one = remembering()
  const large = newKey()
  await one.keep(large, bytesOf(64 * 1024 + 1))
  one.asked()
  for (let i = 0; i < 2; i++) expect((await one.read(large))?.bytes.byteLength).toBe(64 * 1024 + 1)
  expect(one.asked()).toEqual(['match', 'match'])
  const keys = Array.from({ length: 140 }, newKey)
  for (const key of keys) {
    await one.keep(key, bytesOf(64 * 1024))
    await one.read(key)
  }
  one.asked()
  await one.read(keys.at(-1)!)
  expect(one.asked()).toEqual([])
  await one.read(keys[0]!)
  expect(one.asked()).toEqual(['match'])
})
