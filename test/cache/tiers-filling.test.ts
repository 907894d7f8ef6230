import { describe, expect, it } from 'vitest'
import type { StoredResponse } from '../../src/cache/http/entry.ts'
import { bytesOf, head, isolate, newKey, readAll, streamOf } from '../support/tiers.ts'

describe('what is not stored', () => {
  const store = async (stored: StoredResponse, key = newKey()) => {
    const { write, has, settled } = isolate()
    const filling = write(key, stored)
    const body = await readAll(filling.body).catch((error: Error) => error.message)
    const kept = await filling.kept
    await settled()
    return { body: typeof body === 'string' ? body : body.byteLength, kept, has: await has(key) }
  }
  const NOT_KEPT = { kept: false, has: undefined }

  it('a body that breaks, which breaks for the client as well', async () => {
    expect(await store({ head: head(), body: streamOf(bytesOf(50_000), new Error('reset')) })).toEqual({
      body: 'reset',
      ...NOT_KEPT,
    })
  })

  it.each([['49999'], ['50001'], ['0'], ['-1'], ['x'], ['1e9'], ['50000, 50000'], ['']])(
    'a body of 50000 bytes that says %j',
    async (length) => {
      const headers = [['content-length', length]] as const
      expect(await store({ head: head({ headers }), body: streamOf(bytesOf(50_000)) })).toMatchObject(NOT_KEPT)
    },
  )

  it.each([[], [['content-encoding', 'gzip'] as const]])('but one that says its length', async (...encoding) => {
    const says = (length: string) => head({ headers: [...encoding, ['content-length', length]] })
    const body = () => streamOf(bytesOf(50_000))
    expect(await store({ head: says('50000'), body: body() })).toEqual({ body: 50_000, kept: true, has: 'edge' })
    expect(await store({ head: says('131'), body: body() })).toMatchObject(NOT_KEPT)
  })

  it('an answer to HEAD, whose length is that of a body which did not come', async () => {
    expect(await store({ head: head({ headers: [['content-length', '5']] }), body: null })).toMatchObject(NOT_KEPT)
  })

  it('a body over 8 MiB, of which the client gets every byte', async () => {
    const size = 8 * 1024 ** 2
    const body = () => streamOf(new Uint8Array(size), undefined, 1_000_000)
    expect(await store({ head: head(), body: body() })).toEqual({ body: size, ...NOT_KEPT })
    const announced = head({ headers: [['content-length', String(size)]] })
    expect(await store({ head: announced, body: body() })).toEqual({ body: size, ...NOT_KEPT })
  })

  it('a head over 16 KiB; one just below it is', async () => {
    const room = 16 * 1024 - JSON.stringify(head({ url: '' })).length
    expect(await store({ head: head({ url: 'x'.repeat(room) }), body: null })).toMatchObject({
      kept: true,
      has: 'edge',
    })
    expect(await store({ head: head({ url: 'x'.repeat(room + 1) }), body: null })).toMatchObject(NOT_KEPT)
    expect(await store({ head: head({ url: 'ü'.repeat(room / 2) }), body: null })).toMatchObject(NOT_KEPT)
  })

  it('a key over 4 KiB, or with half a character', async () => {
    expect(await store({ head: head(), body: null }, 'x'.repeat(4_000))).toMatchObject({ kept: true, has: 'edge' })
    expect(await store({ head: head(), body: null }, 'x'.repeat(4_096))).toMatchObject(NOT_KEPT)
    expect(await store({ head: head(), body: null }, 'x\ud800')).toMatchObject(NOT_KEPT)
  })

  it('what a client left in mid-body', async () => {
    const [key, { write, has }] = [newKey(), isolate()]
    let cancelled: unknown
    const source = new ReadableStream<Uint8Array>({
      pull: (stream) => stream.enqueue(bytesOf(1_000)),
      cancel: (reason) => void (cancelled = reason),
    })
    const filling = write(key, { head: head(), body: source })
    const reader = filling.body!.getReader()
    await reader.read()
    await reader.cancel('gone')
    expect([await filling.kept, cancelled, await has(key)]).toEqual([false, 'gone', undefined])
  })

  it('the oldest of several that together hold more than 32 MiB; its client gets every byte all the same', async () => {
    const { write } = isolate()
    const size = 7 * 1024 ** 2
    const begun = Array.from({ length: 5 }, () => {
      const { body, kept } = write(newKey(), {
        head: head(),
        body: streamOf(new Uint8Array(size), undefined, size - 1),
      })
      return { reader: body!.getReader(), kept }
    })
    for (const { reader } of begun) expect((await reader.read()).value?.byteLength).toBe(size - 1)
    expect(await begun[0]!.kept).toBe(false)
    for (const { reader } of begun) {
      expect((await reader.read()).value?.byteLength).toBe(1)
      expect((await reader.read()).done).toBe(true)
    }
    expect(await Promise.all(begun.map(({ kept }) => kept))).toEqual([false, true, true, true, true])
  })
})

describe('keeping without a client', () => {
  it('reads the body itself', async () => {
    const [key, bytes, { keep, read }] = [newKey(), bytesOf(50_000), isolate()]
    expect(await keep(key, { head: head(), body: streamOf(bytes) })).toBe(true)
    expect(await readAll((await read(key))!.body)).toEqual(bytes)
  })

  it('gives a stored body a new head', async () => {
    const [key, bytes, { keep, read }] = [newKey(), bytesOf(50_000), isolate()]
    await keep(key, { head: head({ status: 200 }), body: streamOf(bytes) })
    const found = await read(key)
    expect(await keep(key, { head: head({ status: 203 }), body: found!.body })).toBe(true)
    const again = await read(key)
    expect([again!.head.status, await readAll(again!.body)]).toEqual([203, bytes])
  })

  it('reads no further than what can be stored', async () => {
    let given = 0
    const endless = new ReadableStream<Uint8Array>({
      pull: (stream) => {
        given += 1_000_000
        stream.enqueue(new Uint8Array(1_000_000))
      },
    })
    expect(await isolate().keep(newKey(), { head: head(), body: endless })).toBe(false)
    expect(given).toBeLessThan(12_000_000)
  })
})
