import type { Complaint } from './complaint.ts'
import type { Config } from './routes-file.ts'
import { isBaseUrl, isDocumentUrl, type UrlOrEnv } from './scalars.ts'

/** Variables that are set but hold no URL. One that is not known yet is judged when the Worker starts. */
export function environmentComplaints(config: Config, variable: (name: string) => string | undefined): Complaint[] {
  const complain = (
    path: Complaint['path'],
    url: UrlOrEnv | undefined,
    isUrl: (text: string) => boolean,
    expected: string,
  ) => {
    const value = typeof url === 'object' ? variable(url.$env) : undefined
    if (typeof url !== 'object' || value === undefined || isUrl(value)) return []
    return [{ path, message: `the variable ${url.$env} does not hold an absolute http(s) URL without ${expected}` }]
  }
  return [
    ...Object.entries(config.authProviders).flatMap(([name, { jwksUri }]) =>
      complain(['authProviders', name, 'jwksUri'], jwksUri, isDocumentUrl, 'credentials or fragment'),
    ),
    ...Object.entries(config.upstreams).flatMap(([name, { targets }]) =>
      targets.flatMap(({ url }, i) =>
        complain(['upstreams', name, 'targets', i, 'url'], url, isBaseUrl, 'credentials, query or fragment'),
      ),
    ),
  ]
}

/** Targets whose variable is not set, all at once: without it the Worker does not start. */
export function unsetTargets(config: Config, variable: (name: string) => string | undefined): Complaint[] {
  return Object.entries(config.upstreams).flatMap(([name, { targets }]) =>
    targets.flatMap(({ url }, i) =>
      typeof url === 'string' || variable(url.$env)
        ? []
        : [{ path: ['upstreams', name, 'targets', i, 'url'], message: `the variable ${url.$env} is not set` }],
    ),
  )
}

/** `JWT_SECRET is not set: routes a, b answer 503`: a line for each variable that checks of tokens need and that is not set. */
export function unsetKeys(config: Config, variable: (name: string) => string | undefined): string[] {
  const unset = new Map<string, string>()
  for (const [provider, { secret, jwksUri }] of Object.entries(config.authProviders)) {
    const name = secret?.$secret ?? (typeof jwksUri === 'object' ? jwksUri.$env : undefined)
    if (name !== undefined && !variable(name)) unset.set(provider, name)
  }
  return [...new Set(unset.values())].flatMap((name) => {
    const routes = config.routes.flatMap(({ id, policies }) => {
      const { providers = [] } = (policies.auth ?? {}) as { providers?: readonly string[] }
      const lacking = providers.filter((provider) => unset.get(provider) === name)
      if (lacking.length === 0) return []
      return [providers.every((provider) => unset.has(provider)) ? id : `${id} (to tokens of ${lacking.join(', ')})`]
    })
    if (routes.length === 0) return []
    const [one] = routes
    return [
      `${name} is not set: ${routes.length === 1 ? `route ${one} answers` : `routes ${routes.join(', ')} answer`} 503`,
    ]
  })
}
