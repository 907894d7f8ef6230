import { describe, expect, it } from 'vitest'
import { bytesOf, FAR_AWAY, head, isolate, newKey, NOW, readAll, streamOf } from '../support/tiers.ts'

describe('the edge', () => {
  it.each([0, 1, 9_999, 1_000_000])('gives back the %d bytes that went to the client', async (size) => {
    const [key, bytes, { read, write }] = [newKey(), bytesOf(size), isolate()]
    const filling = write(key, { head: head(), body: streamOf(bytes) })
    expect(await readAll(filling.body)).toEqual(bytes)
    expect(await filling.kept).toBe(true)
    const found = await read(key)
    expect(found).toMatchObject({ head: head(), tier: 'edge' })
    expect(await readAll(found!.body)).toEqual(bytes)
  })

  it.each([404, 301, 206, 204, 410, 500])(
    'keeps the status %d, whatever the platform would do with it',
    async (status) => {
      const [key, { read, keep }] = [newKey(), isolate()]
      const headers = [
        ['vary', '*'],
        ['set-cookie', 'a=b'],
        ['content-encoding', 'gzip'],
        ['cache-control', 'no-store'],
      ] as const
      expect(await keep(key, { head: head({ status, headers }), body: null })).toBe(true)
      expect(await read(key)).toMatchObject({ head: { status, headers }, body: null })
    },
  )

  it('tells any two keys apart', async () => {
    const { read, keep } = isolate()
    const keys = [
      '',
      '.',
      '..',
      '%2e',
      '/',
      '//',
      'a b',
      'a+b',
      'a%20b',
      'A',
      'a',
      'ä',
      'a\u0308',
      '\n',
      '#',
      '?',
      "'",
      '\u0000',
      '🎉',
    ]
    const unique = crypto.randomUUID()
    for (const [i, key] of keys.entries()) await keep(unique + key, { head: head({ url: String(i) }), body: null })
    for (const [i, key] of keys.entries()) expect((await read(unique + key))?.head.url).toBe(String(i))
  })

  it('keeps text of every kind in a head', async () => {
    const [key, { read, keep }] = [newKey(), isolate()]
    const odd = head({
      headers: [['x-odd', 'ÿ\u007f\u0080"\\\t🎉\ud800']],
      tags: ['größe\n'],
      url: 'https://gw.test/ü',
    })
    await keep(key, { head: odd, body: null })
    expect((await read(key))?.head).toEqual(odd)
  })

  it('forgets at keepUntil, to the millisecond', async () => {
    let now = NOW
    const [key, { read, keep }] = [newKey(), isolate(undefined, { now: () => now })]
    await keep(key, { head: head({ keepUntil: NOW + 5_000 }), body: null })
    now = NOW + 4_999
    expect(await read(key)).toBeDefined()
    now = NOW + 5_000
    expect(await read(key)).toBeUndefined()
    expect(await keep(key, { head: head({ keepUntil: NOW + 5_000 }), body: null })).toBe(false)
  })

  it('drops', async () => {
    const [key, { has, keep, drop }] = [newKey(), isolate()]
    await keep(key, { head: head(), body: null })
    expect(await has(key)).toBe('edge')
    expect(await drop(key)).toBe(true)
    expect(await has(key)).toBeUndefined()
  })

  it.each(['{', 'null', '{"v":2}', '[]', '{"v":1}', '"x"', ''])('reads a head of %j as a miss', async (text) => {
    const edgeCache = {
      ...FAR_AWAY,
      match: () => Promise.resolve(new Response('x', { headers: { 'x-umbral-head': text } })),
    }
    expect(await isolate(undefined, { edgeCache }).has('key')).toBeUndefined()
  })

  it('is a miss when it throws, refuses or never answers', async () => {
    const no = () => Promise.reject(new Error('ill'))
    const ill = isolate(undefined, { edgeCache: { match: no, put: no, delete: no } })
    expect([await ill.has('key'), await ill.keep('key', { head: head(), body: null }), await ill.drop('key')]).toEqual([
      undefined,
      false,
      true,
    ])
    const hung = isolate(undefined, { edgeCache: { ...FAR_AWAY, match: () => new Promise(() => {}) } })
    expect(await hung.has('key')).toBeUndefined()
  })
})
