import { describe, expect, it } from 'vitest'
import { geo } from '../../src/policies/geo.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { askPolicy, policyDiagnostics } from '../support/policy.ts'

const { client } = makeTestExchange()

/** The code for a client with this country and autonomous system; `''` and 0 mean unknown. */
async function from(config: object, country: string, asn: number): Promise<string> {
  const cf = asn === 0 ? {} : { asn }
  const request = new Request('https://gw.test/', { cf })
  const located = { ...client, country: country === '' ? undefined : country }
  return (await askPolicy(geo, config, { request, client: located })).code
}

describe('geo', () => {
  it.each<[config: object, country: string, asn: number, expected: string]>([
    [{ allow: ['DE', 'FR'] }, 'FR', 64500, 'in'],
    [{ allow: ['DE', 'FR'] }, 'US', 64500, 'geo-refused'],
    [{ allow: ['DE'] }, 'de', 64500, 'geo-refused'],
    [{ allow: ['DE'] }, 'T1', 64500, 'geo-refused'],
    [{ deny: ['T1'] }, 'T1', 64500, 'geo-refused'],
    [{ deny: ['US'] }, 'DE', 64500, 'in'],
    [{ allow: ['AS64500'] }, 'US', 64500, 'in'],
    [{ allow: ['AS64500'] }, 'US', 645000, 'geo-refused'],
    [{ allow: ['AS64500', 'DE'] }, 'DE', 1, 'in'],
    // `AS` alone is American Samoa and not a network.
    [{ allow: ['AS'] }, 'AS', 0, 'in'],
    // Deny wins.
    [{ allow: ['DE'], deny: ['AS64500'] }, 'DE', 64500, 'geo-refused'],
    [{ allow: ['AS64500'], deny: ['DE'] }, 'DE', 64500, 'geo-refused'],
    // Unknown.
    [{ allow: ['DE'] }, '', 64500, 'geo-refused'],
    [{ allow: ['DE'] }, 'XX', 64500, 'geo-refused'],
    [{ allow: ['AS64500'] }, 'DE', 0, 'geo-refused'],
    [{ allow: ['DE'], deny: ['AS64500'] }, 'DE', 0, 'geo-refused'],
    [{ allow: ['DE'], onUnknown: 'allow' }, '', 0, 'in'],
    [{ allow: ['DE'], onUnknown: 'allow' }, 'XX', 0, 'in'],
    [{ allow: ['DE'], onUnknown: 'allow' }, 'US', 0, 'geo-refused'],
    [{ deny: ['US'] }, '', 0, 'in'],
    [{ deny: ['US'], onUnknown: 'deny' }, '', 0, 'geo-refused'],
    [{ deny: ['US', 'AS64500'], onUnknown: 'allow' }, '', 64500, 'geo-refused'],
    // The lists name no country, so that an unknown one has no effect.
    [{ allow: ['DE'] }, 'DE', 0, 'in'],
  ])('%j, a client in "%s" of AS%i: %s', async (config, country, asn, expected) => {
    expect(await from(config, country, asn)).toBe(expected)
  })

  it('does not take the network of a proxy for that of the client', async () => {
    const request = new Request('https://gw.test/', { cf: { asn: 64500 } })
    const behind = { ...client, ip: '192.0.2.1', forwardedFor: '192.0.2.1, 10.0.0.1' }
    const ask = async (config: object) => (await askPolicy(geo, config, { request, client: behind })).code
    expect(await ask({ allow: ['AS64500'] })).toBe('geo-refused')
    expect(await ask({ deny: ['AS64501'], onUnknown: 'deny' })).toBe('geo-refused')
  })

  it.each([
    [{ allow: ['de'] }, 'allow.0: expected a country such as "DE"'],
    [{ allow: ['Germany'] }, 'allow.0: expected a country'],
    [{ allow: ['AS064500'] }, 'allow.0: expected a country'],
    [{ allow: [64500] }, 'allow.0: '],
    [{ allow: ['DE', 'DE'] }, 'allow.1: "DE" stands twice'],
    [{ onUnknown: 'deny' }, ': expected entries in "allow" or "deny"'],
  ])('refuses %j', (config, message) => {
    expect(policyDiagnostics(geo, config)).toEqual([expect.stringContaining(message)])
  })
})
