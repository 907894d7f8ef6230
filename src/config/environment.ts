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
