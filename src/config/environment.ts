import type { Complaint } from './complaint.ts'
import type { Config } from './routes-file.ts'
import { isBaseUrl, type UrlOrEnv } from './scalars.ts'

/** Variables that are set but hold no URL. One that is not known yet is judged when the Worker starts. */
export function environmentComplaints(config: Config, variable: (name: string) => string | undefined): Complaint[] {
  return urlsOf(config).flatMap(([path, url]) => {
    if (typeof url === 'string') return []
    const value = variable(url.$env)
    const message = `the variable ${url.$env} does not hold an absolute http(s) URL without credentials, query or fragment`
    return value === undefined || isBaseUrl(value) ? [] : [{ path, message }]
  })
}

function urlsOf(config: Config): [Complaint['path'], UrlOrEnv][] {
  return [
    ...Object.entries(config.authProviders).flatMap(([name, { jwksUri }]): [Complaint['path'], UrlOrEnv][] =>
      jwksUri === undefined ? [] : [[['authProviders', name, 'jwksUri'], jwksUri]],
    ),
    ...Object.entries(config.upstreams).flatMap(([name, { targets }]) =>
      targets.map(({ url }, i): [Complaint['path'], UrlOrEnv] => [['upstreams', name, 'targets', i, 'url'], url]),
    ),
  ]
}
