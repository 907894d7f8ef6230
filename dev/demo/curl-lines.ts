import type { DemoUser } from './accounts.ts'

/** The base URLs in the commands, without a final slash. */
export interface DemoUrls {
  readonly gateway: string
  readonly issuer: string
  readonly users2: string
  /** The account for logins; undefined when the routes file has no logins. */
  readonly user: DemoUser | undefined
}

/** A command to try, and its expected result. */
export interface CurlLine {
  readonly expect: string
  readonly command: string
}

/** The tour of the demo. Every command can be pasted into a shell, in any order and repeatedly. */
export function curlLines({ gateway, issuer, users2, user }: DemoUrls): CurlLine[] {
  const bearer = (scope: string) => `-H "Authorization: Bearer $(curl -s '${issuer}/token?sub=7&scope=${scope}')"`
  // Status and headers through grep: curl before 7.84 (Ubuntu 22.04) has no %header{} for --write-out.
  const heads = '-s -o /dev/null -D -'
  const showing = (names: string) => `| grep -iE '^(HTTP|${names})'`
  return [
    {
      expect: 'No token: refused with 401 token-missing.',
      command: `curl -i ${gateway}/users/7`,
    },
    {
      expect: 'A token with the right scope: 200 and user 7.',
      command: `curl -i ${bearer('users:read')} ${gateway}/users/7`,
    },
    {
      expect: 'An order: 201, and its "user" is the subject of the token.',
      command: `curl -i ${bearer('orders:write')} -d '{"items":[{"product":3,"quantity":1}]}' ${gateway}/shop/orders`,
    },
    {
      expect: 'Twelve calls where five in ten seconds are allowed: 200 five times, then 429.',
      command: `curl ${heads} '${gateway}/products?page=[1-12]' ${showing('ratelimit:')}`,
    },
    {
      expect:
        'One of two targets resets connections: still 200 four times; the call that reached it was tried twice. ' +
        `It lives again after: curl -X DELETE ${users2}/__faults`,
      command:
        `curl -s -o /dev/null -X PUT -d '{"down":true}' ${users2}/__faults --next ${bearer('users:read')} ` +
        `${heads} '${gateway}/users/[1-4]' ${showing('x-served-by:|x-attempt:')}`,
    },
    {
      expect:
        'An unreachable target: 502 until the breaker has received about five failures (reports are sent five times a second) ' +
        'and opens; then 503 at once. How many of each:',
      command: `curl -s -o /dev/null -w '%{http_code}\\n' '${gateway}/broken?call=[1-200]' | uniq -c`,
    },
    ...(user === undefined ? [] : loginLines(gateway, user)),
    {
      expect:
        'A purge by tag, then the same product twice: the first response comes from the origin and is stored, the second ' +
        'comes from the store, with its age.',
      command:
        `curl -s -o /dev/null -H "Authorization: Bearer $(curl -s '${issuer}/token?sub=1&role=admin')" ` +
        `-H 'Content-Type: application/json' -d '{"tags":["product:3"]}' ${gateway}/admin/cache/purge --next ` +
        `${heads} '${gateway}/products/3?call=[1-2]' ${showing('age:|cache-status:')}`,
    },
    {
      expect: 'The state of the gateway: 200 and "healthy", or a list of what is degraded, such as that upstream.',
      command: `curl -i ${gateway}/health`,
    },
  ]
}

function loginLines(gateway: string, { username, password }: DemoUser): CurlLine[] {
  const login = `-d 'username=${username}&password=${password}' ${gateway}/token`
  const token = `$(curl -s ${login} | sed -E 's/.*"access_token": ?"([^"]+)".*/\\1/')`
  return [
    {
      expect: `A login with a password, which this demo generated for ${username}: 200 and a token for half an hour.`,
      command: `curl -i ${login}`,
    },
    {
      expect: 'The profile of the token’s user: 200.',
      command: `curl -i -H "Authorization: Bearer ${token}" ${gateway}/users/me`,
    },
  ]
}
