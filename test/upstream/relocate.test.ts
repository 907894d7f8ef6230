import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Exchange } from '../../src/core/exchange.ts'
import type { LocationMode } from '../../src/core/policy.ts'
import { compileRelocation } from '../../src/upstream/relocate.ts'
import { makeTestExchange } from '../support/exchange.ts'

const APP = 'http://127.0.0.1:9101/app'
const PLAIN = 'http://127.0.0.1:9101'

interface Sent {
  /** The path that the client requested, and the one that was sent to the target without its prefix. */
  readonly path?: string
  readonly sent?: string
  /** What the `/*` of the match matched. */
  readonly rest?: string
  readonly client?: Partial<Exchange['client']>
}

function makeSent({ path = '/users/7', sent = path, rest, client = {} }: Sent): Exchange {
  const x = makeTestExchange(new Request(`https://gw.test${path}`))
  x.outgoing.path = sent
  return { ...x, params: rest === undefined ? {} : { '*': rest }, client: { ...x.client, host: 'gw.test', ...client } }
}

function relocate(
  base: string,
  mode: LocationMode | undefined,
  response: Response,
  sent: Sent = {},
): { response: Response; isSame: boolean } {
  const result = compileRelocation(base, mode)?.(makeSent(sent), response) ?? response
  return { response: result, isSame: result === response }
}

const locationOf = (base: string, location: string, sent: Sent = {}, mode?: LocationMode, status = 302) =>
  relocate(base, mode, new Response(null, { status, headers: { location } }), sent).response.headers.get('location')

describe('Location of a target with a path prefix', () => {
  it.each([
    ['/app/login', '/login'],
    ['/app', '/'],
    ['/app/', '/'],
    ['/app/login?next=%2Fapp#top', '/login?next=%2Fapp#top'],
    ['http://127.0.0.1:9101/app/login', '/login'],
    ['HTTP://127.0.0.1:9101/app/login', '/login'],
    ['//127.0.0.1:9101/app/login', '/login'],
    // An origin that reads X-Forwarded-Host.
    ['https://gw.test/app/login', 'https://gw.test/login'],
    ['http://gw.test/app/login', 'http://gw.test/login'],
    // It must not become the name of a host.
    ['/app//evil.example/x', '/.//evil.example/x'],
    ['http://127.0.0.1:9101/app//evil.example', '/.//evil.example'],
  ])('%s becomes %s', (location, expected) => {
    expect(locationOf(APP, location)).toBe(expected)
  })

  it.each([
    '/other',
    '/application',
    'https://login.example/app/x',
    'http://127.0.0.1:9102/app/x',
    'https://127.0.0.1:9101/app/x',
    'http://user@127.0.0.1:9101/app/x',
    'next',
    '../x',
    '?page=2',
    '#top',
    '',
    'mailto:a@b.example',
    'http://[',
    'https://gw.test/login',
  ])('stays as it is: %s', (location) => {
    expect(locationOf(APP, location)).toBe(location)
  })

  it.each<[Sent, string, string]>([
    [{ path: '/api/users/7', sent: '/users/7' }, '/app/users/8', '/api/users/8'],
    [{ path: '/api/users/7', sent: '/v2/users/7' }, '/app/v2/users/8', '/api/users/8'],
    [{ path: '/users/7', sent: '/v2/users/7' }, '/app/v2/login', '/login'],
    [{ path: '/me', sent: '/users/7' }, '/app/users/7/avatar', '/me/avatar'],
    [{ path: '/me', sent: '/users/7' }, '/app/users/8', '/app/users/8'],
    [{ client: { prefix: '/edge' } }, '/app/login', '/edge/login'],
    [{ path: '/api', sent: '/', rest: '' }, '/app/login', '/api/login'],
    [{ path: '/api', sent: '/', rest: '' }, '/app/', '/api/'],
    [{ path: '/api/', sent: '/', rest: '' }, '/app/login', '/api/login'],
    [{ path: '/api/users', sent: '/users' }, 'https://gw.test/app/login', 'https://gw.test/api/login'],
    // An origin that knows its path at the gateway.
    [{ path: '/app/v1/users', sent: '/users' }, 'https://gw.test/app/v1/login', 'https://gw.test/app/v1/login'],
  ])('follows the rewriting of the path: %o', (sent, location, expected) => {
    expect(locationOf(APP, location, sent)).toBe(expected)
  })

  it.each([200, 201, 301, 307, 404])('is changed with status %i', (status) => {
    expect(locationOf(APP, '/app/users/9', {}, undefined, status)).toBe('/users/9')
  })

  it.each<[Sent, string, string]>([
    // They mean the same for the client.
    [{}, 'next', 'next'],
    [{}, '../login?a=b', '../login?a=b'],
    [{ path: '/api/users/7', sent: '/users/7' }, '8', '8'],
    [{ path: '/me', sent: '/users/7' }, '?page=2', '?page=2'],
    [{ path: '/me', sent: '/users/7' }, '#top', '#top'],
    // They do not.
    [{ path: '/me', sent: '/users/7' }, '7/avatar?size=2', '/me/avatar?size=2'],
    [{ path: '/api', sent: '/', rest: '' }, 'login', '/api/login'],
    [{ path: '/x' }, '../app/login#top', '/login#top'],
    [{ path: '/x', client: { prefix: '/edge' } }, '../app/login', '/edge/login'],
    // No reference leads the client there.
    [{ path: '/me', sent: '/users/7' }, '8', '8'],
    [{ path: '/x' }, '../other', '../other'],
  ])('relative to the path of the request: %o %s becomes %s', (sent, location, expected) => {
    expect(locationOf(APP, location, sent)).toBe(expected)
  })

  it('names no host of a client that names none', () => {
    const sent = { client: { host: '' } }
    expect(locationOf(PLAIN, 'urn:/login', sent, 'rewrite')).toBe('urn:/login')
    expect(locationOf(PLAIN, 'http:/login', sent, 'rewrite')).toBe('/login')
  })

  it('a client that follows it reaches the same path of the target', () => {
    const segment = fc.stringMatching(/^[a-z0-9._~-]{1,6}$/).filter((text) => !/^\.\.?$/.test(text))
    const path = (min: number) =>
      fc.array(segment, { minLength: min, maxLength: 3 }).map((all) => all.map((s) => `/${s}`).join(''))
    fc.assert(
      fc.property(path(1), path(0), path(0), path(1), path(1), (prefix, received, sent, rest, next) => {
        const location = prefix + sent + next
        const request = { path: received + rest, sent: sent + rest }
        const followed = locationOf(`${PLAIN}${prefix}`, location, request)!
        // The gateway sends a path below `received` to the same path below `sent`, whatever the two have in common.
        expect(followed.startsWith(received)).toBe(true)
        expect(prefix + sent + followed.slice(received.length)).toBe(location)
      }),
    )
  })

  it('a client that follows a relative one reaches the same path of the target', () => {
    const segment = fc.constantFrom('a', 'b', 'app', 'v2')
    const path = (min: number) =>
      fc.array(segment, { minLength: min, maxLength: 3 }).map((all) => all.map((s) => `/${s}`).join(''))
    const step = fc.oneof(segment, fc.constantFrom('..', '.'))
    const reference = fc.array(step, { minLength: 1, maxLength: 5 }).map((steps) => steps.join('/'))
    fc.assert(
      fc.property(path(1), path(0), path(0), path(0), reference, (prefix, received, sent, rest, location) => {
        const request = { path: received + rest || '/', sent: sent + rest || '/', rest: rest.slice(1) }
        const meant = new URL(location, PLAIN + prefix + request.sent).pathname
        fc.pre(`${meant}/`.startsWith(`${prefix}${sent}/`))
        const followed = new URL(locationOf(`${PLAIN}${prefix}`, location, request)!, `https://gw.test${request.path}`)
        const forwarded = followed.pathname.slice(received.length)
        expect(followed.pathname.startsWith(received)).toBe(true)
        // A path without a rest is sent with or without its last slash, as it was received.
        expect((prefix + sent + forwarded).replace(/\/$/, '')).toBe(meant.replace(/\/$/, ''))
      }),
    )
  })
})

describe('Location of a target without one', () => {
  it.each([
    ['http://127.0.0.1:9101/login', '/login'],
    ['http://127.0.0.1:9101', '/'],
    ['//127.0.0.1:9101/login?a=b', '/login?a=b'],
    ['/login', '/login'],
    ['https://gw.test/login', 'https://gw.test/login'],
    ['https://other.example/login', 'https://other.example/login'],
  ])('%s becomes %s', (location, expected) => {
    expect(locationOf(PLAIN, location)).toBe(expected)
  })

  it('is read only where it has a meaning', () => {
    expect(locationOf(PLAIN, `${PLAIN}/x`, {}, undefined, 201)).toBe('/x')
    expect(locationOf(PLAIN, `${PLAIN}/x`, {}, undefined, 200)).toBe(`${PLAIN}/x`)
    expect(locationOf(PLAIN, `${PLAIN}/x`, {}, 'rewrite', 200)).toBe('/x')
  })

  it('follows the rewriting of the path when a route says so', () => {
    const sent = { path: '/api/users/7', sent: '/users/7' }
    expect(locationOf(PLAIN, '/login', sent)).toBe('/login')
    expect(locationOf(PLAIN, '/login', sent, 'rewrite')).toBe('/api/login')
    expect(locationOf(PLAIN, '/login', sent, 'keep')).toBe('/login')
  })

  it('keeps the URL of an origin that knows its own at the gateway', () => {
    const sent = { path: '/api/users/7', sent: '/users/7' }
    for (const location of ['https://gw.test/api/login', 'https://gw.test/login', '//gw.test/login'])
      expect(locationOf(PLAIN, location, sent)).toBe(location)
    expect(locationOf(PLAIN, 'https://gw.test/api/login', sent, 'rewrite')).toBe('https://gw.test/api/login')
    expect(locationOf(PLAIN, 'https://gw.test/login', sent, 'rewrite')).toBe('https://gw.test/api/login')
  })
})

it('a route can keep all of them', () => {
  const headers = new Headers({ location: '/app/login', 'content-location': '/app/x', 'set-cookie': 'a=b; Path=/app' })
  const { response, isSame } = relocate(APP, 'keep', new Response('ok', { headers }))
  expect([isSame, response.headers.get('location')]).toEqual([true, '/app/login'])
})

it('changes Content-Location, and nothing else of the response', async () => {
  const headers = { 'content-location': '/app/users/7.json', 'content-type': 'text/plain', etag: '"1"' }
  const { response } = relocate(APP, undefined, new Response('ok', { status: 203, headers }))
  expect([response.status, await response.text()]).toEqual([203, 'ok'])
  expect(Object.fromEntries(response.headers)).toEqual({ ...headers, 'content-location': '/users/7.json' })
})

it('leaves a response alone that names no URL of the target', () => {
  expect(relocate(APP, undefined, new Response('ok', { headers: { 'set-cookie': 'a=b; Path=/' } })).isSame).toBe(true)
  expect(relocate(PLAIN, undefined, new Response('ok')).isSame).toBe(true)
})

it('asks a response that has none of these fields for each once, and for nothing else', () => {
  const asked: string[] = []
  const headers = {
    get: (name: string) => (asked.push(`get ${name}`), null),
    has: (name: string) => (asked.push(`has ${name}`), false),
  }
  const response = { status: 200, headers } as unknown as Response
  expect(relocate(APP, undefined, response).isSame).toBe(true)
  expect(asked).toEqual(['get location', 'get content-location', 'has set-cookie'])
})

it('keeps the WebSocket of a response whose cookies change', () => {
  const { 0: webSocket } = new WebSocketPair()
  const headers = { 'set-cookie': 'node=1; Path=/app' }
  const { response } = relocate(APP, undefined, new Response(null, { status: 101, webSocket, headers }))
  expect([response.status, response.webSocket, response.headers.get('set-cookie')]).toEqual([
    101,
    webSocket,
    'node=1; Path=/',
  ])
})

describe('cookies of a target with a path prefix', () => {
  const cookiesOf = (lines: readonly string[], sent: Sent = {}, mode?: LocationMode, base = APP) => {
    const headers = new Headers()
    for (const line of lines) headers.append('set-cookie', line)
    return relocate(base, mode, new Response(null, { headers }), sent).response.headers.getSetCookie()
  }

  it.each([
    ['sid=1; Path=/app', 'sid=1; Path=/'],
    ['sid=1; Path=/app/', 'sid=1; Path=/'],
    ['sid=1; path=/app/users; HttpOnly', 'sid=1; path=/users; HttpOnly'],
    ['sid=1;Path=/app;Secure;SameSite=Lax', 'sid=1; Path=/;Secure;SameSite=Lax'],
    ['sid=1; Domain=127.0.0.1; Path=/app', 'sid=1; Path=/'],
    ['sid=1; Domain=.127.0.0.1', 'sid=1'],
    ['sid=1; Domain=shop.example; Path=/app', 'sid=1; Domain=shop.example; Path=/'],
    ['sid=1; Path=/other', 'sid=1; Path=/other'],
    ['sid=1; Path=/application', 'sid=1; Path=/application'],
    ['sid=1; Path', 'sid=1; Path'],
    ['sid=1', 'sid=1'],
    ['__Host-sid=1; Path=/; Secure', '__Host-sid=1; Path=/; Secure'],
    ['Path=/app; Path=/app', 'Path=/app; Path=/'],
    ['a=b; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/app', 'a=b; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/'],
  ])('%s becomes %s', (line, expected) => {
    expect(cookiesOf([line])).toEqual([expected])
  })

  it('stay lines of their own, in their order', () => {
    expect(cookiesOf(['a=1; Path=/app', 'b=2; Path=/x', 'a=3'])).toEqual(['a=1; Path=/', 'b=2; Path=/x', 'a=3'])
  })

  it.each<[string, Sent, string]>([
    ['sid=1; Path=/app', { path: '/api/users/7', sent: '/users/7' }, 'sid=1; Path=/api'],
    ['sid=1; Path=/app/users', { path: '/api/users/7', sent: '/users/7' }, 'sid=1; Path=/api/users'],
    ['sid=1; Path=/app', { path: '/users/7', sent: '/v2/users/7' }, 'sid=1; Path=/'],
    ['sid=1; Path=/app', { path: '/api', sent: '/', rest: '' }, 'sid=1; Path=/api'],
    ['sid=1; Path=/app/x', { path: '/api', sent: '/', rest: '' }, 'sid=1; Path=/api/x'],
    ['sid=1; Path=/app', { client: { prefix: '/edge' } }, 'sid=1; Path=/edge'],
  ])('follow the rewriting of the path: %s %o', (line, sent, expected) => {
    expect(cookiesOf([line], sent)).toEqual([expected])
  })

  it('of a target without one change when a route says so', () => {
    const sent = { path: '/api/users/7', sent: '/users/7' }
    expect(cookiesOf(['a=1; Path=/; Domain=127.0.0.1'], sent, undefined, PLAIN)).toEqual([
      'a=1; Path=/; Domain=127.0.0.1',
    ])
    expect(cookiesOf(['a=1; Path=/; Domain=127.0.0.1'], sent, 'rewrite', PLAIN)).toEqual(['a=1; Path=/api/'])
  })

  it('never lose or change their name and value', () => {
    const value = fc.string({ unit: 'grapheme-ascii' }).filter((text) => /^[!-~]*$/.test(text) && !text.includes(';'))
    fc.assert(
      fc.property(value, fc.array(value, { maxLength: 4 }), (pair, attributes) => {
        const [line] = cookiesOf([[`a${pair}`, ...attributes].join('; ')])
        expect(line!.split(';')[0]).toBe(`a${pair}`)
      }),
    )
  })
})
