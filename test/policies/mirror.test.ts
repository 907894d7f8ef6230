import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { loadConfig } from '../../src/config/load.ts'
import { diagnosticText } from '../../src/config/schema/diagnostic.ts'
import type { Exchange } from '../../src/core/exchange.ts'
import type { Handler } from '../../src/core/pipeline.ts'
import { mirror, mirrorCounters } from '../../src/policies/mirror.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestGateway } from '../support/gateway-in-workerd.ts'
import { makeTestFacts, makeTestPlatform, originUrl } from '../support/platform.ts'

const ok: Handler = (x) => {
  x.attempts++
  return Promise.resolve(new Response('real'))
}

interface Setup {
  readonly percent?: number
  readonly random?: () => number
  readonly now?: () => number
}

/** Compiles the layer around a real upstream, with `shadow` as the upstream that gets the copies. */
function compile(shadow: Handler, real: Handler = ok, { percent = 100, ...parts }: Setup = {}) {
  const platform = makeTestPlatform(parts)
  const ways: unknown[] = []
  const facts = makeTestFacts({ upstream: 'users', sendTo: (...way) => (ways.push(way), shadow) })
  const handler = mirror.compile(z.parse(mirror.config, { upstream: 'shadow', percent }), platform, facts)(real)
  return { handler, ways, tally: () => mirrorCounters(platform).shadow }
}

/** A shadow that records the exchanges it gets and responds with 200. */
function makeShadow(respond: () => Promise<Response> = async () => new Response('shadow')) {
  const copies: Exchange[] = []
  const handler: Handler = (x) => (copies.push(x), respond())
  return { copies, handler }
}

describe('the real request', () => {
  it('knows nothing of its copy', async () => {
    const shadow: Handler = async (x) => {
      x.outgoing.headers['x-request-timeout-ms'] = '1'
      x.outgoing.path = '/elsewhere'
      x.edits.push({ op: 'set', name: 'x-shadow', value: '1' })
      Object.assign(x, { attempts: 7, target: 'shadow:1', deadline: 0, uploadProblem: 'body-too-large' })
      return new Response('shadow', { status: 500 })
    }
    const { handler, ways } = compile(shadow)
    const x = makeTestExchange()
    const before = { ...x, outgoing: { ...x.outgoing, headers: { ...x.outgoing.headers } }, edits: [] }
    const response = await handler(x)
    await x.settled()
    expect(await response.text()).toBe('real')
    expect(x).toEqual({ ...before, attempts: 1 })
    expect(ways).toEqual([['shadow', 'once']])
  })

  it.each<[what: string, shadow: Handler]>([
    ['hangs', () => new Promise<never>(() => {})],
    ['rejects', () => Promise.reject(new Error('no'))],
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
  ])('is answered while its copy %s', async (what, shadow) => {
    const { handler, tally } = compile(shadow)
    const x = makeTestExchange()
    expect(await (await handler(x)).text()).toBe('real')
    if (what !== 'hangs') await x.settled()
    expect(tally()).toEqual({ sent: 1, failed: what === 'hangs' ? 0 : 1, skipped: 0, dropped: 0 })
  })

  it('keeps its own failure', async () => {
    const { copies, handler: shadow } = makeShadow()
    const { handler } = compile(shadow, (x) => {
      x.attempts++
      return Promise.reject(new Error('real'))
    })
    await expect(handler(makeTestExchange())).rejects.toThrow('real')
    expect(copies).toHaveLength(1)
  })

  it('that was refused has no copy', async () => {
    const { copies, handler: shadow } = makeShadow()
    const { handler, tally } = compile(shadow, async () => new Response('open', { status: 503 }))
    expect((await handler(makeTestExchange())).status).toBe(503)
    expect([copies.length, tally()]).toEqual([0, { sent: 0, failed: 0, skipped: 0, dropped: 0 }])
  })
})

describe('the copy', () => {
  const request = new Request('https://gw.test/users/7?a=b', {
    headers: { 'x-a': '1', traceparent: '00-1-2-01', tracestate: 'a=b' },
  })

  it('is what the upstream gets, marked, before that wrote to it, and in no trace', async () => {
    const { copies, handler: shadow } = makeShadow()
    const { handler } = compile(shadow, (x) => {
      x.outgoing.headers['x-attempt'] = '1'
      return ok(x)
    })
    const x = makeTestExchange(request)
    x.outgoing.path = '/v2/users/7'
    await handler(x)
    expect(copies[0]!.outgoing).toEqual({
      method: 'GET',
      path: '/v2/users/7',
      search: '?a=b',
      headers: { 'x-a': '1', 'x-umbral-mirror': '1' },
      hasOpaqueValues: false,
      body: null,
    })
    expect(copies[0]).toMatchObject({ id: x.id, route: x.route, attempts: 0, target: undefined, trace: undefined })
  })

  it('is sent too where the real request is signed or read before it is sent, and what is refused then is not', async () => {
    const { copies, handler: shadow } = makeShadow()
    const later: Handler = async (x) => {
      await Promise.resolve()
      return x.outgoing.path === '/refused' ? new Response(null, { status: 503 }) : ok(x)
    }
    const { handler, tally } = compile(shadow, later)
    for (const path of ['/sent', '/refused']) {
      const x = makeTestExchange(new Request(`https://gw.test${path}`))
      await handler(x)
      await x.settled()
    }
    expect(copies.map((copy) => copy.outgoing.path)).toEqual(['/sent'])
    expect(tally()).toMatchObject({ sent: 1 })
  })

  it('comes after the real request', async () => {
    const order: string[] = []
    const { handler } = compile(
      async () => (order.push('copy'), new Response()),
      (x) => (order.push('real'), ok(x)),
    )
    await handler(makeTestExchange())
    expect(order).toEqual(['real', 'copy'])
  })

  it('stays when the client leaves, for 20 s at most', async () => {
    const { copies, handler: shadow } = makeShadow()
    const { handler } = compile(shadow, ok, { now: () => 1_000 })
    const client = new AbortController()
    client.abort()
    await handler(makeTestExchange(undefined, { signal: client.signal, deadline: 5 }))
    expect([copies[0]!.signal.aborted, copies[0]!.startedAt, copies[0]!.deadline]).toEqual([false, 1_000, 21_000])
  })

  it('is not read', async () => {
    let cancelled = false
    const body = new ReadableStream({ cancel: () => void (cancelled = true) })
    const { handler } = compile(async () => new Response(body))
    const x = makeTestExchange()
    await handler(x)
    await x.settled()
    expect(cancelled).toBe(true)
  })

  it.each<[what: string, parts: Partial<Exchange['outgoing']>, sent: 0 | 1]>([
    ['no body', { method: 'DELETE', body: null }, 1],
    ['64 KiB', { body: new Uint8Array(65_536) }, 1],
    ['a byte more', { body: new Uint8Array(65_537) }, 0],
    ['a stream', { body: new ReadableStream<Uint8Array>() }, 0],
    ['the body that a GET has in name only', { method: 'GET', body: new ReadableStream<Uint8Array>() }, 1],
    ['a WebSocket', { method: 'GET', body: null, headers: { upgrade: 'websocket' } }, 0],
  ])('of a request with %s', async (_, parts, sent) => {
    const { copies, handler: shadow } = makeShadow()
    const { handler, tally } = compile(shadow)
    const x = makeTestExchange()
    Object.assign(x.outgoing, { method: 'POST', ...parts })
    const { body } = x.outgoing
    await handler(x)
    await x.settled()
    expect(tally()).toEqual({ sent, failed: 0, skipped: 1 - sent, dropped: 0 })
    expect(copies.map((copy) => copy.outgoing.body)).toEqual(
      sent === 0 ? [] : [x.outgoing.method === 'GET' ? null : body],
    )
    expect(body instanceof ReadableStream && body.locked).toBe(false)
  })

  it('is made of the share that `percent` says, by lot', async () => {
    const draws = [0, 0.099, 0.1, 0.5, 0.999]
    const { copies, handler: shadow } = makeShadow()
    const { handler } = compile(shadow, ok, { percent: 10, random: () => draws.shift()! })
    while (draws.length > 0) await handler(makeTestExchange())
    expect(copies).toHaveLength(2)
  })
})

describe('copies under way', () => {
  it('are 100 at most for an upstream; more are dropped until one has ended', async () => {
    const hanging: ((response: Response) => void)[] = []
    const { handler, tally } = compile(() => new Promise((resolve) => hanging.push(resolve)))
    const x = makeTestExchange()
    for (let i = 0; i < 105; i++) await handler(x)
    expect(tally()).toEqual({ sent: 100, failed: 0, skipped: 0, dropped: 5 })
    hanging.forEach((resolve) => resolve(new Response(null, { status: 503 })))
    await x.settled()
    await handler(makeTestExchange())
    expect(tally()).toEqual({ sent: 101, failed: 100, skipped: 0, dropped: 5 })
  })

  it('that the runtime cut off are forgotten after their deadline', async () => {
    let now = 0
    const { handler, tally } = compile(() => new Promise<never>(() => {}), ok, { now: () => now })
    for (let i = 0; i < 100; i++) await handler(makeTestExchange())
    now = 20_000
    await handler(makeTestExchange())
    expect(tally()).toMatchObject({ sent: 100, dropped: 1 })
    now++
    await handler(makeTestExchange())
    expect(tally()).toMatchObject({ sent: 101, dropped: 1 })
  })
})

describe('configuration', () => {
  const target = { targets: [{ url: originUrl }] }
  const base = { version: 1, upstreams: { users: target, next: target, shadow: target } }

  function diagnostics(config: unknown, policies: object = {}, parts: object = { upstream: 'users' }) {
    const one = { id: 'a', match: { path: '/a' }, policies: { mirror: config, ...policies }, ...parts }
    const loaded = loadConfig({ ...base, routes: [one] })
    return 'diagnostics' in loaded ? loaded.diagnostics.map(diagnosticText) : []
  }
  const at = 'routes[0].policies.mirror'

  it.each<[what: string, config: unknown, message: string]>([
    ['an unknown upstream', { upstream: 'shdow' }, `${at}.upstream: no upstream "shdow"; did you mean "shadow"? (`],
    ['the route’s own', { upstream: 'users' }, `${at}.upstream: "users" is the route’s own upstream`],
    ['too much', { upstream: 'shadow', percent: 100.5 }, `${at}.percent: expected at most 100, found 100.5`],
    ['too little', { upstream: 'shadow', percent: -0.5 }, `${at}.percent: expected at least 0, found -0.5`],
    ['an unknown key', { upstream: 'shadow', sample: 1 }, `${at}.sample: unknown key`],
  ])('refuses %s', (_, config, message) => {
    expect(diagnostics(config)).toEqual([expect.stringContaining(message)])
  })

  it('refuses to copy to an upstream that answers a share', () => {
    const split = [{ upstream: 'next', percent: 5 }]
    expect(diagnostics({ upstream: 'next' }, { split })).toEqual([
      expect.stringContaining(`${at}.upstream: "next" responds to a share of this route’s requests (split)`),
    ])
    expect(diagnostics({ upstream: 'shadow' }, { split })).toEqual([])
  })

  it('is refused where nothing is sent on', () => {
    const message = `${at}: has no use beside "respond": no request is sent on`
    expect(diagnostics({ upstream: 'shadow' }, {}, { respond: {} })).toEqual([message])
  })

  it('copies all unless told otherwise', () => {
    expect(z.parse(mirror.config, { upstream: 'shadow' })).toEqual({ upstream: 'shadow', percent: 100 })
  })
})

describe('in the gateway', () => {
  /** All the stages that a request may pass, so that a stage which would prevent the copy is found. */
  const stages = {
    retry: { attempts: 2, backoff: { base: '1ms', max: '1ms' } },
    circuitBreaker: {},
    hedge: {},
    maxConcurrent: 10,
    outlierDetection: {},
    loadBalancing: 'ewma',
  }

  async function exchange(shadow: string, init: RequestInit = {}, policies: object = {}) {
    const sent: { url: string; headers: Headers }[] = []
    const upstreams = {
      users: { targets: [{ url: `${originUrl}/own` }, { url: `${originUrl}/twin` }], ...stages },
      shadow: { targets: [{ url: originUrl + shadow }, { url: `${originUrl}/twin` }], ...stages },
    }
    const routes = [
      { id: 'a', match: { path: '/*' }, upstream: 'users', policies: { mirror: { upstream: 'shadow' }, ...policies } },
    ]
    const gateway = makeTestGateway(
      { upstreams, routes },
      {
        variable: (name) => (name === 'LOG_LEVEL' ? 'silent' : undefined),
        fetch: (url, parts) => {
          sent.push({ url: url.slice(originUrl.length), headers: new Headers(parts?.headers) })
          return fetch(url, parts)
        },
      },
    )
    const response = await gateway.fetch('/users/7?a', init)
    await gateway.settled()
    return { response, sent }
  }

  it('the copy goes where its own upstream is, once, however that answers', async () => {
    const { response, sent } = await exchange('/status/503')
    expect([response.status, await response.json()]).toMatchObject([200, { target: '/own/users/7?a' }])
    expect(sent.map(({ url }) => url)).toEqual(['/own/users/7?a', '/status/503/users/7?a'])
  })

  it('only the copy is marked, and no client can mark a request', async () => {
    const { sent } = await exchange('', { headers: { 'x-umbral-mirror': '1', X_Umbral_Mirror: '1' } })
    expect(sent.map(({ headers }) => [headers.get('x-umbral-mirror'), headers.get('x_umbral_mirror')])).toEqual([
      [null, null],
      ['1', null],
    ])
  })

  it('a streamed body reaches the upstream alone, and whole', async () => {
    const { response, sent } = await exchange('', { method: 'POST', body: 'x'.repeat(100_000) })
    expect((await response.json<{ body: string }>()).body).toHaveLength(100_000)
    expect(sent).toHaveLength(1)
  })

  it('a route that answers by itself and inherits a mirror goes on answering', async () => {
    const upstreams = { shadow: { targets: [{ url: originUrl }] } }
    const routes = [{ id: 'a', match: { path: '/*' }, respond: { body: 'mine' } }]
    const defaults = { policies: { mirror: { upstream: 'shadow' } } }
    const gateway = makeTestGateway(
      { upstreams, routes, defaults },
      {
        variable: (name) => (name === 'LOG_LEVEL' ? 'silent' : undefined),
        fetch: () => Promise.reject(new Error('nothing is to be sent')),
      },
    )
    expect(await (await gateway.fetch('/x')).text()).toBe('mine')
    await gateway.settled()
  })

  it('what goes to another upstream by split is not copied', async () => {
    const split = [{ upstream: 'other', percent: 100 }]
    const urls: string[] = []
    const upstreams = Object.fromEntries(
      ['users', 'other', 'shadow'].map((name) => [name, { targets: [{ url: `${originUrl}/${name}` }] }]),
    )
    const policies = { split, mirror: { upstream: 'shadow' } }
    const gateway = makeTestGateway(
      { upstreams, routes: [{ id: 'a', match: { path: '/*' }, upstream: 'users', policies }] },
      {
        variable: (name) => (name === 'LOG_LEVEL' ? 'silent' : undefined),
        fetch: (url, init) => (urls.push(url), fetch(url, init)),
      },
    )
    await gateway.fetch('/x')
    await gateway.settled()
    expect(urls).toEqual([`${originUrl}/other/x`])
  })
})
