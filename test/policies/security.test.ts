import { describe, expect, it } from 'vitest'
import { problem } from '../../src/core/problem.ts'
import { security } from '../../src/policies/security.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { askPolicy, policyDiagnostics } from '../support/policy.ts'

const { client } = makeTestExchange()
const SAFE = {
  'strict-transport-security': 'max-age=31536000',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'content-security-policy': "frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
}

async function headersOf(config: object, scheme: 'http' | 'https' = 'https', upstream?: () => Response) {
  const { response } = await askPolicy(security, config, { client: { ...client, scheme } }, upstream)
  return Object.fromEntries([...response.headers].filter(([name]) => name in SAFE))
}

describe('security', () => {
  it('is safe without a word of configuration', async () => {
    expect(await headersOf({})).toEqual(SAFE)
  })

  it('says nothing of https to those who come without it', async () => {
    const { 'strict-transport-security': _hsts, ...others } = SAFE
    expect(await headersOf({}, 'http')).toEqual(others)
  })

  it('lets no origin say it by plain HTTP either, unless it is left to the origin', async () => {
    const origin = () => new Response('in', { headers: { 'strict-transport-security': 'max-age=1' } })
    expect(await headersOf({}, 'http', origin)).not.toHaveProperty('strict-transport-security')
    expect(await headersOf({ hsts: null }, 'http', origin)).toMatchObject({ 'strict-transport-security': 'max-age=1' })
  })

  it('stands on refusals too', async () => {
    expect(await headersOf({}, 'https', () => problem('token-missing'))).toEqual(SAFE)
  })

  it.each([
    [{ hsts: { maxAge: '0s' } }, 'strict-transport-security', 'max-age=0'],
    [{ hsts: { includeSubDomains: true } }, 'strict-transport-security', 'max-age=31536000; includeSubDomains'],
    [
      { hsts: { maxAge: '730d', includeSubDomains: true, preload: true } },
      'strict-transport-security',
      'max-age=63072000; includeSubDomains; preload',
    ],
    [{ frames: 'same-origin' }, 'x-frame-options', 'SAMEORIGIN'],
    [{ frames: 'same-origin' }, 'content-security-policy', "frame-ancestors 'self'"],
    [{ referrerPolicy: 'strict-origin' }, 'referrer-policy', 'strict-origin'],
    [{ permissionsPolicy: 'camera=(self)' }, 'permissions-policy', 'camera=(self)'],
  ])('%j: %s is %s', async (config, name, value) => {
    expect((await headersOf(config))[name]).toBe(value)
  })

  it('takes the place of what the origin says, and stands beside its Content-Security-Policy', async () => {
    const origin = () =>
      new Response('in', {
        headers: {
          'x-frame-options': 'ALLOWALL',
          'x-content-type-options': 'sniff',
          'content-security-policy': "default-src 'self'; frame-ancestors *",
        },
      })
    const found = await headersOf({ contentSecurityPolicy: "script-src 'none'" }, 'https', origin)
    expect(found).toMatchObject({ 'x-frame-options': 'DENY', 'x-content-type-options': 'nosniff' })
    const policies = found['content-security-policy']!.split(', ')
    expect(policies.toSorted()).toEqual(
      ["default-src 'self'; frame-ancestors *", "frame-ancestors 'none'", "script-src 'none'"].toSorted(),
    )
  })

  it('leaves to the origin what is null', async () => {
    const none = { hsts: null, contentTypeOptions: null, frames: null, referrerPolicy: null, permissionsPolicy: null }
    expect(await headersOf(none)).toEqual({})
    const origin = () => new Response('in', { headers: { 'referrer-policy': 'origin' } })
    expect(await headersOf(none, 'https', origin)).toEqual({ 'referrer-policy': 'origin' })
  })

  it.each([
    [{ hsts: { preload: true } }, 'hsts.preload: needs includeSubDomains'],
    [{ hsts: { preload: true, includeSubDomains: true, maxAge: '30d' } }, 'hsts.preload: needs'],
    [{ frames: 'DENY' }, 'frames: did you mean "deny"?'],
    [{ permissionsPolicy: 'a\nb' }, 'permissionsPolicy: expected printable ASCII'],
    [{ hstss: {} }, ': '],
  ])('refuses %j', (config, message) => {
    expect(policyDiagnostics(security, config)).toEqual([expect.stringContaining(message)])
  })
})
