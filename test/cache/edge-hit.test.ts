import { describe, expect, it } from 'vitest'
import type { Platform } from '../../src/core/platform.ts'
import { makeTestGateway } from '../support/gateway-in-workerd.ts'
import { makeTestPlatform, originUrl } from '../support/platform.ts'

type Namespaces =
  'breakers' | 'globalUpstreams' | 'limitShards' | 'identityStore' | 'nonceStores' | 'loginGuards' | 'cacheCoordinators'

/** The real platform, with a list of everything beyond this isolate that it was asked for. */
function watchedPlatform() {
  const asked: string[] = []
  const real = makeTestPlatform()
  const watch = <T extends object>(name: string, target: T): T =>
    new Proxy(target, {
      get(of, property) {
        const value: unknown = Reflect.get(of, property)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          asked.push(`${name}.${String(property)}`)
          return Reflect.apply(value, of, args) as unknown
        }
      },
    })
  let skew = 0
  let isHanging = false
  const silent = { purges: () => new Promise<never>(() => {}) }
  const cacheState = {
    getByName: (name: string) => (isHanging ? silent : real.cacheCoordinators.getByName(name)),
  } as unknown as Platform['cacheCoordinators']
  const names: readonly Namespaces[] = [
    'breakers',
    'globalUpstreams',
    'limitShards',
    'identityStore',
    'nonceStores',
    'loginGuards',
    'cacheCoordinators',
  ]
  const namespaces = Object.fromEntries(names.map((name) => [name, watch(name, real[name])])) as Pick<
    Platform,
    Namespaces
  >
  const platform: Partial<Platform> = {
    ...namespaces,
    variable: (name) => (name === 'LOG_LEVEL' ? 'silent' : undefined),
    cacheCoordinators: watch('cacheCoordinators', cacheState),
    now: () => Date.now() + skew,
    edgeCache: watch('edge', real.edgeCache),
    fetch: (url, init) => {
      asked.push('fetch')
      return real.fetch(url, init)
    },
  }
  /** Three seconds later: purges are old enough to be asked for again, and their store says nothing. */
  const hang = () => {
    skew = 3_000
    isHanging = true
  }
  return { platform, hang, take: () => asked.splice(0) }
}

describe('a hit of the edge', () => {
  it('asks the edge cache once in a second, and nothing else', async () => {
    const { platform, hang, take } = watchedPlatform()
    const gateway = makeTestGateway(
      {
        upstreams: { origin: { targets: [{ url: originUrl }] } },
        routes: [{ id: 'a', match: { path: '/*' }, upstream: 'origin', policies: { cache: { ttl: '1h' } } }],
      },
      platform,
    )
    const ask = async () => {
      const answer = await gateway.fetch(`/hit-${run}`)
      return { body: await answer.text(), status: answer.headers.get('cache-status') }
    }
    const run = crypto.randomUUID()
    const first = await ask()
    await gateway.settled()
    expect(take()).toContain('fetch')
    for (let times = 0; times < 3; times++) {
      const again = await ask()
      await gateway.settled()
      expect(again).toEqual({ body: first.body, status: expect.stringMatching(/; ?hit/) })
      // This isolate's own copy serves the further ones.
      expect(take()).toEqual(times === 0 ? ['edge.match'] : [])
    }
    // Purges are asked for behind its back: a store that never answers holds nobody up.
    hang()
    expect(await ask()).toEqual({ body: first.body, status: expect.stringMatching(/; ?hit/) })
    expect(take().toSorted()).toEqual(['cacheCoordinators.getByName', 'edge.match'])
  })
})
