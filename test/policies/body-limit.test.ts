import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import type { Handler } from '../../src/core/pipeline.ts'
import { problemCode } from '../../src/core/problem.ts'
import { bodyLimit } from '../../src/policies/body-limit.ts'
import { send } from '../../src/upstream/send.ts'
import { makeTargets } from '../../src/upstream/target.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestFacts, makeTestPlatform, originUrl } from '../support/platform.ts'

const facts = makeTestFacts()

const limited = (max: string, terminal: Handler) =>
  bodyLimit.compile(z.parse(bodyLimit.config, { max }), makeTestPlatform(), facts)(terminal)

const post = (body: BodyInit, headers: Record<string, string> = {}) =>
  makeTestExchange(new Request('https://gw.test/', { method: 'POST', headers, body }))

/** Sends the outgoing body to a real origin. */
const forward: Handler = (x) => {
  const [target] = makeTargets('origin', [{ url: originUrl, weight: 1 }], () => undefined)
  const limits = { timeout: 5000, perTryTimeout: 5000, uploadIdleTimeout: 5000 }
  const options = { ...limits, idleTimeout: undefined, tellsAttempt: false, tellsTimeout: false }
  return send(target!, options, { inFlight: 0 }, makeTestPlatform())(x)
}

const unasked: Handler = () => Promise.reject(new Error('nobody may ask the upstream'))

function streamOf(chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = chunks[at++]
      if (chunk === undefined) controller.close()
      else controller.enqueue(chunk)
    },
  })
}

const bytes = (length: number) => new Uint8Array(length).fill(97)

describe('bodyLimit with a known length', () => {
  it('refuses a larger Content-Length before anybody is asked', async () => {
    const response = await limited('10b', unasked)(post('x'.repeat(11), { 'content-length': '11' }))
    expect(problemCode(response)).toBe('body-too-large')
    expect(response.status).toBe(413)
  })

  it('leaves a body alone whose length the runtime vouches for', async () => {
    const x = post('x'.repeat(10), { 'content-length': '10' })
    const { body } = x.outgoing
    await limited('10b', () => Promise.resolve(new Response()))(x)
    expect(x.outgoing.body).toBe(body)
  })

  it.each([
    [10, undefined],
    [11, 'body-too-large'],
  ])('judges %i bytes in memory by themselves, whatever the client declared', async (length, code) => {
    const x = post('x', { 'content-length': '1' })
    x.outgoing.body = bytes(length)
    expect(problemCode(await limited('10b', () => Promise.resolve(new Response()))(x))).toBe(code)
  })

  it('has no work when there is no body', async () => {
    const x = makeTestExchange(new Request('https://gw.test/', { headers: { 'content-length': '99' } }))
    expect((await limited('10b', () => Promise.resolve(new Response('in')))(x)).status).toBe(200)
    expect(x.outgoing.body).toBeNull()
  })
})

describe('bodyLimit with an unknown length', () => {
  it('passes a body that fits on to a real origin', async () => {
    const x = post(streamOf([bytes(4), bytes(6)]))
    const response = await limited('10b', forward)(x)
    expect(await response.json<{ body: string }>()).toMatchObject({ body: 'a'.repeat(10) })
    expect(x.uploadProblem).toBeUndefined()
  })

  it('breaks off at the chunk that is too much, and says so instead of the upstream’s failure', async () => {
    const x = post(streamOf([bytes(4), bytes(6), bytes(1)]))
    expect(problemCode(await limited('10b', forward)(x))).toBe('body-too-large')
    expect(x.uploadProblem).toBe('body-too-large')
  })

  it('says so too when whoever read the body answered something else', async () => {
    const read: Handler = async (x) => {
      await new Response(x.outgoing.body).arrayBuffer().catch(() => undefined)
      return new Response('the upstream failed', { status: 502 })
    }
    expect(problemCode(await limited('10b', read)(post(streamOf([bytes(11)]))))).toBe('body-too-large')
  })

  it('says so too when whoever read the body threw', async () => {
    const read: Handler = async (x) => new Response(await new Response(x.outgoing.body).arrayBuffer())
    expect(problemCode(await limited('10b', read)(post(streamOf([bytes(11)]))))).toBe('body-too-large')
  })

  it('trusts no length that is said of another body than this', async () => {
    const x = post('x', { 'content-length': '1' })
    x.outgoing.body = streamOf([bytes(11)])
    expect(problemCode(await limited('10b', forward)(x))).toBe('body-too-large')
  })

  it('does not take the upstream’s own failure for the client’s', async () => {
    const failing: Handler = () => Promise.reject(new Error('reset'))
    await expect(limited('10b', failing)(post(streamOf([bytes(1)])))).rejects.toThrow('reset')
  })

  it('takes no more from the client than the upstream takes from it', async () => {
    let pulled = 0
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++
        controller.enqueue(bytes(1024))
      },
    })
    const x = post(endless)
    await limited('1mb', async (x) => {
      const reader = (x.outgoing.body as ReadableStream<Uint8Array>).getReader()
      for (let i = 0; i < 5; i++) await reader.read()
      await scheduler.wait(20)
      expect(pulled).toBeLessThan(10)
      await reader.cancel()
      return new Response()
    })(x)
  })

  it('lets at most max bytes through, and refuses nothing that fits, however it is cut', async () => {
    const cuts = fc.array(fc.nat(40), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(cuts, fc.integer({ min: 1, max: 120 }), async (lengths, max) => {
        let through = 0
        const read: Handler = async (x) => {
          try {
            for await (const chunk of x.outgoing.body as ReadableStream<Uint8Array>) through += chunk.byteLength
          } catch {
            return new Response(null, { status: 502 })
          }
          return new Response('in')
        }
        const total = lengths.reduce((sum, length) => sum + length, 0)
        const response = await limited(`${max}b`, read)(post(streamOf(lengths.map(bytes))))
        expect(problemCode(response)).toBe(total > max ? 'body-too-large' : undefined)
        expect(through).toBeLessThanOrEqual(max)
        if (total <= max) expect(through).toBe(total)
      }),
    )
  })
})
