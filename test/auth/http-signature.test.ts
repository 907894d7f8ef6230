import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import * as z from 'zod/mini'
import { httpSignatureProvider } from '../../src/auth/config/http-signature.ts'
import { makeHttpSignatureAuthenticator } from '../../src/auth/http-signature.ts'
import { keyRecipe, type SignatureAlgorithm } from '../../src/signatures/algorithm.ts'
import { SECRET, signedRequest } from '../signatures/client.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestPlatform } from '../support/platform.ts'
import { advanceUntilSettled, stalledBody } from '../support/stalled-body.ts'

type Written = z.input<typeof httpSignatureProvider>
type Parts = Parameters<typeof signedRequest>[0]

const ACME = { keyid: 'acme', alg: 'hmac-sha256', secret: { $secret: 'ACME' } } as const
const secrets: Record<string, string> = { ACME: SECRET, SHORT: 'too short' }

function makeProvider(parts: Partial<Written> = {}, now: () => number = Date.now, nonces = env.NONCES) {
  const config = z.parse(httpSignatureProvider, { type: 'httpSignature', keys: [ACME], ...parts })
  return makeHttpSignatureAuthenticator(
    'partners',
    config,
    makeTestPlatform({ secret: ({ $secret }) => secrets[$secret], now, nonceStores: nonces }),
  )
}

const without = (name: string) => (fields: Record<string, string>) =>
  Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name))

/** What becomes of a request: the subject of who sent it, or the code. */
async function verdictOf(request: Request, provider = makeProvider()): Promise<string | undefined> {
  const found = await provider.authenticate(makeTestExchange(request))
  return typeof found === 'object' ? found.identity.subject : found
}

describe('a provider of signed requests', () => {
  it('lets in who signs what it asks for, and knows who that is', async () => {
    const provider = makeProvider({ keys: [{ ...ACME, scopes: ['orders:write'], roles: ['partner'] }] })
    const x = makeTestExchange(await signedRequest({ body: '{"id":1}' }))
    expect(await provider.authenticate(x)).toMatchObject({
      identity: {
        provider: 'partners',
        issuer: 'partners',
        subject: 'acme',
        scopes: ['orders:write'],
        roles: ['partner'],
        claims: { iss: 'partners', sub: 'acme' },
      },
    })
    expect(new TextDecoder().decode(x.outgoing.body as Uint8Array)).toBe('{"id":1}')
  })

  it('has nothing to say of a request without a signature', async () => {
    expect(await verdictOf(new Request('https://gw.test/'))).toBeUndefined()
  })

  it.each<[what: string, code: string, parts: Parts]>([
    ['half of the pair', 'signature-malformed', { forge: without('signature') }],
    ['the other half of the pair', 'signature-malformed', { forge: without('signature-input') }],
    ['a key that nobody knows', 'signature-key-unknown', { spec: { keyid: 'evil' } }],
    [
      'an algorithm that the key does not have',
      'signature-algorithm',
      {
        forge: (fields) => ({
          ...fields,
          'signature-input': fields['signature-input']!.replace('hmac-sha256', 'ed25519'),
        }),
      },
    ],
    ['no signature of its method', 'signature-components', { spec: { components: ['@target-uri'] } }],
    [
      'a body that is not covered',
      'signature-components',
      { body: 'x', spec: { components: ['@method', '@target-uri'] } },
    ],
    [
      'a component covered that it does not have',
      'signature-components',
      {
        forge: without('x-a'),
        headers: { 'x-a': '1' },
        spec: { components: ['@method', '@target-uri', 'x-a'] },
      },
    ],
    [
      'a covered field changed',
      'signature-invalid',
      {
        forge: (fields) => ({ ...fields, 'x-a': '2' }),
        headers: { 'x-a': '1' },
        spec: { components: ['@method', '@target-uri', 'x-a'] },
      },
    ],
    [
      'a covered field sent twice',
      'signature-invalid',
      {
        forge: (fields) => ({ ...fields, 'x-a': '1, 2' }),
        headers: { 'x-a': '1' },
        spec: { components: ['@method', '@target-uri', 'x-a'] },
      },
    ],
    [
      'another signature',
      'signature-invalid',
      { forge: (fields) => ({ ...fields, signature: 'sig1=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:' }) },
    ],
    [
      'another body',
      'digest-mismatch',
      { body: 'x', headers: { 'content-digest': 'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:' } },
    ],
    [
      'a signature of an hour ago',
      'signature-expired',
      { spec: { created: Math.floor(Date.now() / 1000) - 3_600, expires: 2 ** 40 } },
    ],
    [
      'a signature that its sender let expire',
      'signature-expired',
      { spec: { expires: Math.floor(Date.now() / 1000) - 31 } },
    ],
    [
      'a signature of tomorrow',
      'signature-not-yet-valid',
      { spec: { created: Math.floor(Date.now() / 1000) + 86_400 } },
    ],
    ['a body of more than 1 MiB', 'body-too-large', { body: 'x'.repeat(1024 * 1024 + 1) }],
  ])('refuses %s: %s', async (_, code, parts) => {
    expect(await verdictOf(await signedRequest(parts))).toBe(code)
  })

  it('gives up a body that stops half-way, after 10 s', async () => {
    const { url, method, headers } = await signedRequest({ body: '{"id":1}' })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const verdict = verdictOf(new Request(url, { method, headers, body: stalledBody('{"id"') }))
      expect(await advanceUntilSettled(verdict)).toBe(10_000)
      expect(await verdict).toBe('body-timeout')
    } finally {
      vi.useRealTimers()
    }
  })

  it.each([
    ['the path', 'https://gw.test/orders/2?id=1'],
    ['an escape in the path', 'https://gw.test/order%73?id=1'],
    ['the query', 'https://gw.test/orders?id=2'],
    ['the host', 'https://other.test/orders?id=1'],
    ['the scheme', 'http://gw.test/orders?id=1'],
  ])('refuses a signature for another target: %s', async (_, url) => {
    const { headers } = await signedRequest()
    const x = makeTestExchange(new Request(url, { headers }))
    const scheme = url.startsWith('http:') ? 'http' : 'https'
    expect(await makeProvider().authenticate({ ...x, client: { ...x.client, scheme } })).toBe('signature-invalid')
  })

  it('refuses a signature for another method', async () => {
    const { headers, url } = await signedRequest()
    expect(await verdictOf(new Request(url, { method: 'DELETE', headers }))).toBe('signature-invalid')
  })

  it('asks for created and for a nonce, the latter unless it is not required', async () => {
    const strip = (what: RegExp) => (fields: Record<string, string>) => ({
      ...fields,
      'signature-input': fields['signature-input']!.replace(what, ''),
    })
    expect(await verdictOf(await signedRequest({ forge: strip(/;nonce="[^"]*"/) }))).toBe('signature-parameters')
    expect(await verdictOf(await signedRequest({ forge: strip(/;created=\d+/) }))).toBe('signature-parameters')
    const lax = makeProvider({ requireNonce: false })
    expect(await verdictOf(await signedRequest({ forge: strip(/;nonce="[^"]*"/) }), lax)).toBe('signature-invalid')
  })

  it('judges the times to the millisecond', async () => {
    const created = 2_000_000_000
    const request = () => signedRequest({ spec: { created, expires: created + 86_400 } })
    const at = async (now: number) =>
      verdictOf(
        await request(),
        makeProvider({ maxAge: '5m', clockSkew: '30s' }, () => now),
      )
    expect(await at(created * 1000 - 30_001)).toBe('signature-not-yet-valid')
    expect(await at(created * 1000 - 30_000)).toBe('acme')
    expect(await at(created * 1000 + 329_999)).toBe('acme')
    expect(await at(created * 1000 + 330_000)).toBe('signature-expired')
  })

  it('does not use up the nonce of a request that it refuses', async () => {
    const good = await signedRequest({ body: 'right' })
    const wrong = new Request(good.url, { method: 'POST', headers: good.headers, body: 'wrong' })
    expect(await verdictOf(wrong)).toBe('digest-mismatch')
    expect(await verdictOf(good)).toBe('acme')
  })

  it('asks for no digest where there is no body, and compares one that is there', async () => {
    expect(await verdictOf(await signedRequest())).toBe('acme')
    const empty = { 'content-digest': 'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:' }
    expect(await verdictOf(await signedRequest({ headers: empty }))).toBe('acme')
    const other = { 'content-digest': 'sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:' }
    expect(await verdictOf(await signedRequest({ headers: other }))).toBe('digest-mismatch')
  })

  it('takes a signature made in any of its algorithms, by keys in either form, and none made with another key', async () => {
    const algorithms = [
      'ed25519',
      'ecdsa-p256-sha256',
      'ecdsa-p384-sha384',
      'rsa-pss-sha512',
      'rsa-v1_5-sha256',
    ] as const
    for (const alg of algorithms) {
      const [mine, other] = [await makePair(alg), await makePair(alg)]
      const keyOf = async (form: 'publicKey' | 'jwk') => ({
        keyid: alg,
        alg,
        [form]: await exported(mine.publicKey, form),
      })
      for (const form of ['publicKey', 'jwk'] as const) {
        const provider = makeProvider({ keys: [(await keyOf(form)) as Written['keys'][number]] })
        const sign = (key: CryptoKey) => signedRequest({ spec: { keyid: alg, alg, key } })
        expect(await verdictOf(await sign(mine.privateKey), provider), `${alg} ${form}`).toBe(alg)
        expect(await verdictOf(await sign(other.privateKey), provider), `${alg} ${form}`).toBe('signature-invalid')
      }
    }
  })

  it('answers 503 for a key whose secret is not set or too short, and for that key alone', async () => {
    for (const name of ['SHORT', 'NONE']) {
      const broken = { keyid: 'broken', alg: 'hmac-sha256', secret: { $secret: name } } as const
      expect(makeProvider({ keys: [broken] }).configured).toBe(false)
      const both = makeProvider({ keys: [ACME, broken] })
      expect(both.configured).toBe(true)
      expect(await verdictOf(await signedRequest({ spec: { keyid: 'broken' } }), both)).toBe('not-configured')
      expect(await verdictOf(await signedRequest(), both)).toBe('acme')
    }
  })

  it('answers 503 when the store of nonces does not', async () => {
    const failing = { getByName: () => ({ use: () => Promise.reject(new Error('gone')) }) }
    const provider = makeProvider({}, Date.now, failing as unknown as typeof env.NONCES)
    expect(await verdictOf(await signedRequest(), provider)).toBe('nonce-store-unavailable')
  })

  it('accepts a request once, however many gateways that share only the store are sent it at once', async () => {
    const { url, headers } = await signedRequest()
    const sent = Array.from({ length: 200 }, () => verdictOf(new Request(url, { headers }), makeProvider()))
    const verdicts = await Promise.all(sent)
    expect(verdicts.filter((verdict) => verdict === 'acme')).toHaveLength(1)
    expect(verdicts.filter((verdict) => verdict === 'signature-replayed')).toHaveLength(199)
  })
})

const makePair = async (alg: SignatureAlgorithm) => {
  const rsa = alg.startsWith('rsa') && { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) }
  return (await crypto.subtle.generateKey({ ...keyRecipe(alg), ...rsa }, true, ['sign', 'verify'])) as CryptoKeyPair
}

async function exported(key: CryptoKey, form: 'publicKey' | 'jwk'): Promise<unknown> {
  if (form === 'jwk') return JSON.parse(JSON.stringify(await crypto.subtle.exportKey('jwk', key)))
  const bytes = new Uint8Array((await crypto.subtle.exportKey('spki', key)) as ArrayBuffer)
  return `-----BEGIN PUBLIC KEY-----\n${btoa(String.fromCharCode(...bytes))}\n-----END PUBLIC KEY-----\n`
}
