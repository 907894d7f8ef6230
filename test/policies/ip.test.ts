import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { problemCode } from '../../src/core/problem.ts'
import { makeCidrMatcher, parseCidr, parseIp } from '../../src/lib/ip.ts'
import { ip } from '../../src/policies/ip.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestFacts, makeTestPlatform } from '../support/platform.ts'

const facts = makeTestFacts()

/** The status that a client with this address gets. */
async function statusOf(config: unknown, address: string): Promise<string> {
  const middleware = ip.compile(z.parse(ip.config, config), makeTestPlatform(), facts)
  const x = makeTestExchange()
  const response = await middleware(() => Promise.resolve(new Response('in')))({
    ...x,
    client: { ...x.client, ip: address },
  })
  return problemCode(response) ?? 'in'
}

describe('ip', () => {
  it.each([
    [{}, '192.0.2.1', 'in'],
    [{}, '', 'in'],
    [{ allow: ['10.0.0.0/8'] }, '10.255.255.255', 'in'],
    [{ allow: ['10.0.0.0/8'] }, '11.0.0.0', 'ip-refused'],
    [{ allow: ['10.0.0.0/8'] }, '', 'ip-refused'],
    [{ allow: ['10.0.0.0/8'] }, '::ffff:10.1.2.3', 'in'],
    [{ allow: ['10.0.0.0/8'] }, '::ffff:a01:203', 'in'],
    [{ allow: ['10.0.0.0/8'] }, '::10.1.2.3', 'ip-refused'],
    [{ allow: ['::ffff:10.0.0.0/104'] }, '10.1.2.3', 'in'],
    [{ allow: ['10.0.0.1'] }, '10.0.0.1', 'in'],
    [{ allow: ['10.0.0.1'] }, '10.0.0.2', 'ip-refused'],
    [{ allow: ['0.0.0.0/0'] }, '2001:db8::1', 'ip-refused'],
    [{ allow: ['::/0'] }, '10.0.0.1', 'ip-refused'],
    [{ allow: ['2001:db8::/32'] }, '2001:db8:ffff::1', 'in'],
    [{ allow: ['2001:db8::/32'] }, '2001:db9::1', 'ip-refused'],
    [{ deny: ['10.0.0.0/8'] }, '10.0.0.1', 'ip-refused'],
    [{ deny: ['10.0.0.0/8'] }, '::FFFF:10.0.0.1', 'ip-refused'],
    [{ deny: ['10.0.0.0/8'] }, '192.0.2.1', 'in'],
    [{ allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] }, '10.1.0.1', 'ip-refused'],
    [{ allow: ['10.1.0.1'], deny: ['0.0.0.0/0'] }, '10.1.0.1', 'ip-refused'],
    [{ allow: ['10.1.0.1'], deny: ['10.1.0.1'] }, '10.1.0.1', 'ip-refused'],
    [{ allow: ['2001:db8::/32'], deny: ['2001:db8:1::/48'] }, '2001:DB8:0001:0:0:0:0:1', 'ip-refused'],
    [{ deny: ['::ffff:0:0/96'] }, '192.0.2.1', 'ip-refused'],
    [{ deny: ['::ffff:10.0.0.0/104'] }, '10.1.2.3', 'ip-refused'],
    [{ deny: ['10.0.0.0/8'] }, '0:0:0:0:0:ffff:0a00:0001', 'ip-refused'],
    [{ deny: ['10.0.0.0/8'] }, '0:0:0:0:0:ffff:10.0.0.1', 'ip-refused'],
    // A text that is not a plain address is in no list, and is refused by either.
    ...[
      '010.0.0.1',
      '0x0a.0.0.1',
      '0x0a000001',
      '167772161',
      '10.1',
      '10.0.0.1.',
      ' 10.0.0.1',
      '10.0.0.1\n',
      '10.0.0.1:80',
      '10.0.0.1%eth0',
      'fe80::1%eth0',
      '::ffff:010.0.0.1',
      '[::1]',
      '１0.0.0.1',
      'unknown',
      '',
    ].flatMap((address): [object, string, string][] => [
      [{ allow: ['0.0.0.0/0', '::/0'] }, address, 'ip-refused'],
      [{ deny: ['192.0.2.0/24'] }, address, 'ip-refused'],
    ]),
    [{ allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] }, '10.2.0.1', 'in'],
  ])('%j and %s: %s', async (config, address, expected) => {
    expect(await statusOf(config, address)).toBe(expected)
  })

  it.each([
    '010.0.0.0/8',
    '0x0a.0.0.0/8',
    '10/8',
    '10.0/8',
    '167772160/8',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0.256/8',
    '2001:db8::/129',
    '::ffff:10.0.0.0/90',
    '::ffff:010.0.0.0/104',
    'fe80::1%eth0/64',
    '1::2::3/64',
    'localhost',
    '',
    7,
  ])('refuses the network %j and says what was expected', (network) => {
    const { error } = z.safeParse(ip.config, { allow: [network] })
    expect(error?.issues[0]?.message).toContain('expected a network such as "10.0.0.0/8"')
  })
})

/** Addresses as numbers: the reference implementation. */
const v4Text = (n: bigint) => [24n, 16n, 8n, 0n].map((shift) => (n >> shift) & 255n).join('.')
const v6Text = (n: bigint) =>
  [112n, 96n, 80n, 64n, 48n, 32n, 16n, 0n].map((shift) => ((n >> shift) & 0xffffn).toString(16)).join(':')

describe('networks', () => {
  it.each([
    ['IPv4', 32, v4Text, v4Text],
    ['IPv6', 128, v6Text, v6Text],
    ['IPv4 that came as IPv6', 32, v4Text, (n: bigint) => `::ffff:${v4Text(n)}`],
  ] as const)(
    'hold exactly the addresses that share their leading bits: %s',
    (_kind, size, networkText, addressText) => {
      const anyAddress = fc.bigInt({ min: 0n, max: (1n << BigInt(size)) - 1n })
      const flips = fc.array(fc.nat(size - 1), { maxLength: 2 })
      fc.assert(
        fc.property(anyAddress, flips, fc.nat(size), (network, flipped, bits) => {
          const address = flipped.reduce((n, bit) => n ^ (1n << BigInt(bit)), network)
          // The generator may produce a mapped IPv6 network, which holds no IPv4 address.
          fc.pre(size === 32 || (network >> 32n !== 0xffffn && address >> 32n !== 0xffffn))
          const expected = (network ^ address) >> BigInt(size - bits) === 0n
          expect(makeCidrMatcher([`${networkText(network)}/${bits}`])(addressText(address))).toBe(expected)
        }),
        { numRuns: 1000 },
      )
    },
  )

  it('reads exactly what a URL parser takes for an IPv6 address, and the same address', () => {
    const piece = fc.constantFrom(
      '0',
      '1',
      'f',
      'ffff',
      'abcd',
      '00001',
      ':',
      ':',
      '::',
      'g',
      '1.2.3.4',
      '01.2.3.4',
      '%e',
    )
    fc.assert(
      fc.property(fc.array(piece, { minLength: 2, maxLength: 15 }), (pieces) => {
        const text = pieces.join('')
        fc.pre(text.includes(':'))
        const url = `http://[${text}]/`
        const parsed = parseIp(text)
        expect(parsed !== undefined).toBe(URL.canParse(url))
        if (parsed?.length !== 8) return
        const written = parsed.map((group) => group.toString(16)).join(':')
        expect(new URL(`http://[${written}]/`).host).toBe(new URL(url).host)
      }),
      { numRuns: 3000 },
    )
  })

  it('leaves out what is no network', () => {
    expect(parseCidr('10.0.0.0/99')).toBeUndefined()
    expect(makeCidrMatcher(['nonsense', '10.0.0.0/8'])('10.0.0.1')).toBe(true)
    expect(makeCidrMatcher(['10.0.0.0/8'])('unknown')).toBe(false)
  })
})
