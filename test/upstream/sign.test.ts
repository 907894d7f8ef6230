import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { importMaterial, verifyBase, type SignatureAlgorithm } from '../../src/signatures/algorithm.ts'
import { matchesContentDigest } from '../../src/signatures/content-digest.ts'
import { signatureBase } from '../../src/signatures/message.ts'
import { findSignature } from '../../src/signatures/signature-input.ts'
import { sign as signSchema } from '../../src/upstream/config.ts'
import { isGatewayMade } from '../../src/upstream/outcome.ts'
import { compileSigner } from '../../src/upstream/sign.ts'
import { makeMessage } from '../signatures/rfc9421.ts'
import { makeTestExchange } from '../support/exchange.ts'

const SECRET = 'a secret of the gateway and its origins'
const NOW = 2_000_000_000_500
const LIMITS = { timeout: 5000, perTryTimeout: 5000, uploadIdleTimeout: 5000 }

function makeSigner(written: Partial<z.input<typeof signSchema>> = {}, secret: string | undefined = SECRET) {
  const config = z.parse(signSchema, { keyid: 'gw', alg: 'hmac-sha256', secret: { $secret: 'S' }, ...written })
  return compileSigner(config, LIMITS, { now: () => NOW, secret: () => secret })
}

async function fieldsOf(signed: ReturnType<ReturnType<typeof makeSigner>>): Promise<Readonly<Record<string, string>>> {
  const fields = await signed
  if (fields instanceof Response) throw new Error(`not signed: ${await fields.text()}`)
  return fields
}

/** Whether `key` verifies what was signed, of a request as it would arrive at `url`. */
async function verifies(
  key: CryptoKey,
  alg: SignatureAlgorithm,
  method: string,
  url: string,
  fields: Readonly<Record<string, string>>,
): Promise<boolean> {
  const claim = findSignature(fields['signature-input']!, fields.signature!, (keyid) => keyid === 'gw')
  if (typeof claim === 'string') throw new Error(claim)
  const base = signatureBase(claim.components, claim.parameters, makeMessage(method, url, Object.entries(fields)))
  return base !== undefined && (await verifyBase(alg, key, claim.signature, base))
}

const post = (body: string | ReadableStream, headers: Record<string, string> = {}) =>
  makeTestExchange(new Request('https://gw.test/orders?id=1', { method: 'POST', body, headers }))

describe('what is sent to an upstream that signs', () => {
  it('covers method, target and body, with its times and a nonce of its own for each try', async () => {
    const signer = makeSigner()
    const key = (await importMaterial('hmac-sha256', { secret: SECRET }))!
    const x = post('{"id": 1}', { 'content-length': '9' })
    const [first, second] = [
      await fieldsOf(signer(x, 'http://b.test:81/v1')),
      await fieldsOf(signer(x, 'http://a.test')),
    ]
    expect(first['signature-input']).toMatch(
      /^sig1=\("@method" "@target-uri" "content-digest"\);created=2000000000;expires=2000000060;nonce="[\w-]{36}";keyid="gw";alg="hmac-sha256"$/,
    )
    expect(await verifies(key, 'hmac-sha256', 'POST', 'http://b.test:81/v1/orders?id=1', first)).toBe(true)
    expect(await verifies(key, 'hmac-sha256', 'POST', 'http://a.test/orders?id=1', second)).toBe(true)
    expect(await verifies(key, 'hmac-sha256', 'POST', 'http://a.test/orders?id=1', first)).toBe(false)
    expect(await matchesContentDigest(first['content-digest']!, new TextEncoder().encode('{"id": 1}'))).toBe(true)
    const nonces = [first, second].map((fields) => /nonce="([^"]+)"/.exec(fields['signature-input']!)![1])
    expect(new Set(nonces).size).toBe(2)
  })

  it('covers headers that it names, where the request has them', async () => {
    const signer = makeSigner({ components: ['@method', 'x-auth-subject', 'x-none'] })
    const x = makeTestExchange()
    x.outgoing.headers['x-auth-subject'] = 'ada'
    expect((await fieldsOf(signer(x, 'http://a.test')))['signature-input']).toContain('("@method" "x-auth-subject");')
  })

  it('does not vouch for a body that streams, whatever the client says of it', async () => {
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('x'))
        controller.close()
      },
    })
    const fields = await fieldsOf(makeSigner()(post(body, { 'content-digest': 'sha-256=:AA==:' }), 'http://a.test'))
    expect(fields['signature-input']).toContain('("@method" "@target-uri");')
    expect(fields['content-digest']).toBeUndefined()
    const large = post('x'.repeat(1025), { 'content-length': '1025' })
    expect(await fieldsOf(makeSigner({ maxBody: '1kb' })(large, 'http://a.test'))).not.toHaveProperty('content-digest')
    expect(large.outgoing.body).toBeInstanceOf(ReadableStream)
  })

  it('has no other spelling of its fields', async () => {
    const x = makeTestExchange()
    Object.assign(x.outgoing.headers, {
      signature_input: 'x',
      'content.digest': 'x',
      'x-signature': 'y',
      signature: 'z',
    })
    await fieldsOf(makeSigner()(x, 'http://a.test'))
    expect(x.outgoing.headers).toEqual({ 'x-signature': 'y', signature: 'z' })
  })

  it.each(['ed25519', 'ecdsa-p256-sha256'] as const)('can be signed with a private key: %s', async (alg) => {
    const curve = alg === 'ed25519' ? { name: 'Ed25519' } : { name: 'ECDSA', namedCurve: 'P-256' }
    const pair = (await crypto.subtle.generateKey(curve, true, ['sign', 'verify'])) as CryptoKeyPair
    const bytes = new Uint8Array((await crypto.subtle.exportKey('pkcs8', pair.privateKey)) as ArrayBuffer)
    const pem = `-----BEGIN PRIVATE KEY-----\\n${btoa(String.fromCharCode(...bytes))}\\n-----END PRIVATE KEY-----\\n`
    const config = z.parse(signSchema, { keyid: 'gw', alg, key: { $secret: 'K' } })
    const signer = compileSigner(config, LIMITS, { now: () => NOW, secret: () => pem })
    const fields = await fieldsOf(signer(makeTestExchange(), 'http://a.test'))
    expect(await verifies(pair.publicKey, alg, 'GET', 'http://a.test/users/7', fields)).toBe(true)
  })

  it.each(['', 'too short'])(
    'is nothing at all without a good secret (%j), which no target is blamed for',
    async (secret) => {
      const answer = await makeSigner({}, secret)(makeTestExchange(), 'http://a.test')
      if (!(answer instanceof Response)) throw new Error('signed')
      expect([answer.status, isGatewayMade(answer)]).toEqual([503, true])
    },
  )
})
