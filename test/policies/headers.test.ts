import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import type { Exchange, Identity } from '../../src/core/exchange.ts'
import { problem } from '../../src/core/problem.ts'
import { applyHeaderEdits } from '../../src/ingress/finish.ts'
import { headers } from '../../src/policies/headers.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestFacts, makeTestPlatform } from '../support/platform.ts'

const facts = makeTestFacts({ params: ['id'], hasAuth: true })
const identityOf = (subject: string): Identity => ({
  provider: 'm',
  issuer: 'i',
  subject,
  scopes: [],
  roles: [],
  claims: {},
})

/** The request that the upstream gets, and the response that the client gets. */
async function pass(
  config: unknown,
  sent: Record<string, string>,
  respond: () => Response,
  parts: Partial<Exchange> = {},
) {
  const x = makeTestExchange(new Request('https://gw.test/users/7', { headers: sent }), {
    identity: identityOf('ann'),
    ...parts,
  })
  const handler = headers.compile(
    z.parse(headers.config, config),
    makeTestPlatform(),
    facts,
  )(() => Promise.resolve(respond()))
  const response = applyHeaderEdits(await handler(x), x.edits)
  return { upstream: x.outgoing.headers, client: Object.fromEntries(response.headers) }
}

const plain = () => new Response(null, { headers: { server: 'origin', 'x-kept': '1' } })

describe('headers, request', () => {
  it('removes, then sets, then adds', async () => {
    const change = {
      remove: ['Cookie', 'x-a', 'x-b'],
      set: { 'X-A': 'set' },
      add: { 'x-b': 'added', 'X-A': 'more', 'x-c': 'own' },
    }
    const { upstream } = await pass(
      { request: change },
      { cookie: 'c', 'x-a': 'own', 'x-b': 'own', 'x-c': 'own' },
      plain,
    )
    expect(upstream).toEqual({ 'x-a': 'set, more', 'x-b': 'added', 'x-c': 'own, own' })
  })

  it('fills in templates, in place of what the client says', async () => {
    const { upstream } = await pass({ request: { set: { 'x-user-id': '{jwt.sub}' } } }, { 'X-User-Id': 'admin' }, plain)
    expect(upstream).toEqual({ 'x-user-id': 'ann' })
  })

  it('sends nothing, and not the client’s own value, when a value is absent', async () => {
    const change = { set: { 'x-user-id': '{jwt.sub}' }, add: { 'x-country': '{client.country}' } }
    const { upstream } = await pass({ request: change }, { 'x-user-id': 'admin' }, plain, { identity: undefined })
    expect(upstream).toEqual({})
  })

  it('lets no value begin another header, whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1 }), async (subject) => {
        const parts = { identity: identityOf(subject) }
        const { upstream } = await pass({ request: { set: { 'x-user': '{jwt.sub}' } } }, {}, plain, parts)
        expect(Object.keys(upstream)).toEqual(['x-user'])
        expect(decodeURIComponent(upstream['x-user']!)).toBe(subject.toWellFormed())
      }),
    )
  })
})

describe('headers, response', () => {
  const change = {
    remove: ['Server', 'x-a'],
    set: { 'x-a': 'set', 'x-route': '{route}' },
    add: { 'x-a': 'more', 'x-kept': '{jwt.sub}' },
  }

  it('removes, then sets, then adds', async () => {
    const { client } = await pass({ response: change }, {}, plain)
    expect(client).toEqual({ 'x-a': 'set, more', 'x-kept': '1, ann', 'x-route': 'test' })
  })

  it('holds for the problem in place of an answer too', async () => {
    const { client } = await pass({ response: change }, {}, () => problem('circuit-open'))
    expect(client).toMatchObject({ 'content-type': 'application/problem+json', 'x-a': 'set, more' })
  })

  it('asks for nothing when there is nothing to change', () => {
    const x = makeTestExchange()
    void headers.compile(z.parse(headers.config, {}), makeTestPlatform(), facts)(() => Promise.resolve(plain()))(x)
    expect(x.edits).toEqual([])
  })
})

describe('headers, configuration', () => {
  const diagnostics = (config: unknown) =>
    headers.check!(z.parse(headers.config, config), facts).map(({ path, message }) => `${path.join('.')}: ${message}`)

  it.each([
    [{ request: { set: { Host: 'a' } } }, 'request.set.Host: Host cannot be changed'],
    [
      { request: { add: { 'Transfer-Encoding': 'chunked' } } },
      'request.add.Transfer-Encoding: "Transfer-Encoding" belongs to the connection',
    ],
    [{ request: { set: { 'content-length': '1' } } }, 'belongs to the connection'],
    [{ request: { set: { 'proxy-authorization': 'x' } } }, 'belongs to the connection'],
    [{ request: { remove: ['a', 'Connection'] } }, 'request.remove.1: "Connection" belongs'],
    [{ response: { set: { upgrade: 'h2c' } } }, 'response.set.upgrade: '],
    [{ response: { remove: ['te', 'trailer', 'keep-alive'] } }, 'response.remove.0: '],
    [{ request: { set: { 'x y': 'a' } } }, 'expected a header name'],
    [{ request: { set: { '': 'a' } } }, 'expected a header name'],
    [{ request: { set: { 'x-a': 'a\r\nx-b: 1' } } }, 'expected printable ASCII'],
    [{ request: { set: { 'x-a': 'é' } } }, 'expected printable ASCII'],
    [{ request: { set: { 'x-a': '{params.ID}' } } }, 'did you mean "params.id"?'],
  ])('%j: %s', (config, expected) => {
    expect(diagnostics(config).join('\n')).toContain(expected)
  })

  it('claims the names it vouches for, and leaves to clients what is theirs', () => {
    const set = { 'X-User-Id': '{jwt.sub}', 'x-gate': '1', Accept: 'application/json', authorization: 'Basic x' }
    expect(headers.injects!(z.parse(headers.config, { request: { set, add: { 'x-more': '1' } } }))).toEqual([
      'x-user-id',
      'x-gate',
    ])
  })
})
