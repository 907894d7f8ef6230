import { startCallers, type Call } from './callers.ts'
import { startGateway, type RunningGateway } from './gateway.ts'
import { startLedgerOrigin, type LedgerOrigin } from './ledger-origin.ts'

/** A gateway as users run it, real origins behind it, and callers before it. */
export interface Scene {
  readonly gateway: RunningGateway
  readonly origins: readonly LedgerOrigin[]
  readonly call: Call
  readonly stop: () => Promise<void>
}

export interface SceneSetup {
  /** The upstream's fields besides its targets. */
  readonly upstream?: Readonly<Record<string, unknown>>
  /** How many origins there are, each a target unless `targets` says otherwise. Default 1. */
  readonly origins?: number
  /** The targets' URLs, where something stands between. */
  readonly targets?: (origins: readonly LedgerOrigin[]) => Promise<readonly string[]>
  /** Routes besides `/*`, which goes to the upstream, and `/-/health`. */
  readonly routes?: readonly object[]
  readonly policies?: object
  readonly env?: Record<string, string>
}

/** Starts the origins, then the gateway with one upstream, `shop`, of them. */
export async function startScene(setup: SceneSetup = {}): Promise<Scene> {
  const started: { stop: () => Promise<void> }[] = []
  const stop = async () => void (await Promise.all(started.map((part) => part.stop())))
  try {
    const origins = await Promise.all(Array.from({ length: setup.origins ?? 1 }, startLedgerOrigin))
    started.push(...origins)
    const urls = (await setup.targets?.(origins)) ?? origins.map(({ url }) => url)
    const gateway = await startGateway({ routes: routesOf(setup, urls), ...(setup.env && { env: setup.env }) })
    // As a crash: a hung request must not hold up the next test.
    started.push({ stop: gateway.kill })
    const callers = startCallers(gateway.url)
    started.push({ stop: async () => callers.stop() })
    return { gateway, origins, call: callers.call, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function routesOf({ upstream, routes = [], policies }: SceneSetup, urls: readonly string[]): Record<string, unknown> {
  return {
    upstreams: { shop: { targets: urls.map((url) => ({ url })), tell: ['x-attempt'], ...upstream } },
    routes: [
      { id: 'health', match: { methods: ['GET'], path: '/-/health' }, builtin: 'health' },
      { id: 'all', match: { path: '/*' }, upstream: 'shop', ...(policies && { policies }) },
      ...routes,
    ],
  }
}
