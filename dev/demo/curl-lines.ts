/** The addresses that the lines speak to, without a final slash. */
export interface DemoUrls {
  readonly gateway: string
  readonly issuer: string
  readonly users2: string
}

/** One thing to try: the command, and what it shows. */
export interface CurlLine {
  readonly expect: string
  readonly command: string
}

/** The tour of the demo; every command can be pasted into a shell as it stands, in any order and again. */
export function curlLines({ gateway, issuer, users2 }: DemoUrls): CurlLine[] {
  const bearer = (scope: string) => `-H "Authorization: Bearer $(curl -s '${issuer}/token?sub=7&scope=${scope}')"`
  const each = (format: string) => `-s -o /dev/null -w '${format}\\n'`
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
      expect: 'An order: 201, and its "user" is who the token says.',
      command: `curl -i ${bearer('orders:write')} -d '{"items":[{"product":3,"quantity":1}]}' ${gateway}/shop/orders`,
    },
    {
      expect: 'Twelve calls where five in ten seconds are allowed: 200 five times, then 429.',
      command: `curl ${each('%{http_code} %header{ratelimit}')} '${gateway}/products?page=[1-12]'`,
    },
    {
      expect: 'One of two targets dies: still 200 four times; the call that met the dead one was tried twice.',
      command:
        `curl -s -o /dev/null -X PUT -d '{"down":true}' ${users2}/__faults --next ${bearer('users:read')} ` +
        `${each('%{http_code} from %header{x-served-by}, try %header{x-attempt}')} '${gateway}/users/[1-4]'`,
    },
    {
      expect: 'A target that is gone: 502 until the breaker has counted five and opens; then 503 circuit-open at once.',
      command: `curl ${each('%{http_code} in %{time_total} s')} '${gateway}/broken?call=[1-20]'`,
    },
  ]
}
