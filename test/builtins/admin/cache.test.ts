import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'
import { PURGES_OBJECT } from '../../../src/cache/purge/purge-feed.ts'
import type { Platform } from '../../../src/core/platform.ts'
import { brokenCacheState, ownCacheState } from '../../support/cache-state.ts'
import { makeTestGateway } from '../../support/gateway-in-workerd.ts'

let nth = 0

function deploy(parts: Partial<Platform> = {}) {
  const name = `purging-${nth++}`
  const cacheState = ownCacheState(name)
  const gateway = makeTestGateway(
    {
      routes: [
        { id: 'admin', match: { path: '/admin/*' }, builtin: 'admin', policies: { ip: { allow: ['127.0.0.1/32'] } } },
      ],
    },
    {
      cacheCoordinators: cacheState,
      identityStore: { getByName: () => env.IDENTITY.getByName(name) } as unknown as Platform['identityStore'],
      variable: (variable) => (variable === 'LOG_LEVEL' ? 'silent' : undefined),
      ...parts,
    },
  )
  const ask = async (method: string, path: string, body?: unknown) => {
    const response = await gateway.fetch(`/admin/${path}`, {
      method,
      cf: { clientIp: '127.0.0.1:57166' } as RequestInitCfProperties,
      headers: { 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    return { status: response.status, body: await response.json<Record<string, unknown> & { detail?: string }>() }
  }
  const made = async () => {
    const news = await cacheState.getByName(PURGES_OBJECT).purges(0, [])
    return news!.purges.slice(1).map(({ mode, kind, value }) => [mode, kind, value].join(' '))
  }
  return { purge: (body: unknown) => ask('POST', 'cache/purge', body), made, ask }
}

beforeAll(async () => void (await env.CACHE_STATE.getByName('first').join('key')))

it('purges by tag, URL and prefix, hard or soft, and says so in the audit log', async () => {
  const { purge, made, ask } = deploy()
  const order = {
    tags: ['users', 'user:7'],
    urls: ['HTTP://GW.test:80/a/../%75sers?Page=%61'],
    prefixes: ['https://gw.test:8443/users/'],
  }
  const shown = { ...order, urls: ['http://gw.test/users?Page=%61'] }
  expect(await purge(order)).toEqual({ status: 200, body: { ...shown, soft: false, audited: true } })
  expect(await purge({ tags: ['orders'], soft: true })).toMatchObject({ status: 200, body: { soft: true } })
  expect(await purge({ all: true })).toMatchObject({ status: 200, body: { all: true } })
  expect(await made()).toEqual([
    'hard tag users',
    'hard tag user:7',
    'hard url http://gw.test/users?Page=%61',
    'hard prefix https://gw.test:8443/users/',
    'soft tag orders',
    'hard all ',
  ])
  const { body } = await ask('GET', 'audit')
  expect(body['audit']).toMatchObject([
    { act: 'cache.purge', on: 'all' },
    { act: 'cache.purge', on: 'tags', details: { count: 1, soft: true, first: [{ kind: 'tag', value: 'orders' }] } },
    { act: 'cache.purge', on: 'tags urls prefixes', details: { count: 4, soft: false } },
  ])
})

const unclear: readonly [body: unknown, said: string][] = [
  [{}, 'expected "tags", "urls", "prefixes" or "all"'],
  [{ soft: true }, 'expected "tags", "urls", "prefixes" or "all"'],
  [{ tag: 'users' }, 'tags'],
  [{ tags: [] }, 'tags'],
  [{ tags: [''] }, 'tags[0]'],
  [{ tags: ['a\nb'] }, 'tags[0]'],
  [{ tags: Array.from({ length: 101 }, (_, i) => `t${i}`) }, 'tags'],
  [{ all: false }, 'all'],
  [{ tags: ['a'], soft: 'yes' }, 'soft'],
  ...[
    '/users',
    'gw.test/users',
    'ftp://gw.test/',
    'https:gw.test/',
    'https://ada:pw@gw.test/',
    'https://gw.test/#x',
    'https://gw.test/%zz',
    'https://gw.test/a%5cb',
    String.raw`https://gw.test\@evil.test/a`,
    'https:///users',
    `https://gw.test/${'a'.repeat(2_100)}`,
  ].map((url) => [{ urls: [url] }, 'urls[0]'] as [unknown, string]),
  [{ prefixes: ['https://'] }, 'prefixes[0]'],
]

describe('a purge that is not clear', () => {
  const cases = unclear.map(([body, said]) => ({ name: JSON.stringify(body).slice(0, 60), body, said }))
  it.each(cases)('$name is refused and purges nothing', async ({ body, said }) => {
    const { purge, made } = deploy()
    const { status, body: refusal } = await purge(body)
    expect([status, refusal['code']]).toEqual([400, 'admin-invalid'])
    expect(refusal.detail).toContain(said)
    expect(await made()).toEqual([])
  })
})

it('is a 503 when the store does not take it', async () => {
  const { purge } = deploy({ cacheCoordinators: brokenCacheState(async () => undefined) })
  const { status, body } = await purge({ tags: ['users'] })
  expect([status, body['code']]).toEqual([503, 'state-unavailable'])
})

it('is made although the audit log cannot be reached, and says so', async () => {
  const identity = {
    getByName: () => ({ execute: () => Promise.reject(new Error('down')) }),
  } as unknown as Platform['identityStore']
  const { purge, made } = deploy({ identityStore: identity })
  expect(await purge({ tags: ['users'] })).toMatchObject({ status: 200, body: { audited: false } })
  expect(await made()).toEqual(['hard tag users'])
})
