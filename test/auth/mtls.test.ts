import { describe, expect, it } from 'vitest'
import { authProvider } from '../../src/auth/config/auth-provider.ts'
import { makeTestPlatform } from '../support/platform.ts'
import { makeGate } from './gate.ts'

const gateOf = (fields: Record<string, unknown> = {}) =>
  makeGate(
    makeTestPlatform({
      authProviders: { mtls: authProvider.parse({ type: 'mtls', subjects: ['CN=partner,O=Acme'], ...fields }) },
    }),
  )
const gate = gateOf()
const CERTIFICATE = {
  certPresented: '1',
  certVerified: 'SUCCESS',
  certRevoked: '0',
  certSubjectDN: 'O=Acme,CN=partner',
  certSubjectDNRFC2253: 'CN=partner,O=Acme',
  certIssuerDN: 'CN=Acme CA',
  certIssuerDNRFC2253: 'CN=Acme CA',
  certSerial: '0A',
  certFingerprintSHA256: 'ab12',
}
const NONE = { certPresented: '0', certVerified: 'NONE', certSubjectDNRFC2253: '', certSubjectDN: '' }
/** A request over a connection of which Cloudflare says `tlsClientAuth`. */
const withCertificate = (tlsClientAuth: unknown) => ({ cf: { tlsClientAuth } }) as RequestInit

describe('client certificates', () => {
  it('say who is calling', async () => {
    const { status, x } = await gate(undefined, withCertificate(CERTIFICATE))
    expect(status).toBe(200)
    expect(x.identity).toEqual({
      provider: 'mtls',
      issuer: 'CN=Acme CA',
      subject: 'CN=partner,O=Acme',
      scopes: [],
      roles: [],
      claims: { iss: 'CN=Acme CA', sub: 'CN=partner,O=Acme', serial: '0A', fingerprint: 'ab12' },
    })
    expect(x.outgoing.headers['x-auth-subject']).toBe('CN=partner,O=Acme')
  })

  it('are known by the one name that there is', async () => {
    const { certSubjectDNRFC2253: name, ...others } = CERTIFICATE
    expect((await gate(undefined, withCertificate({ ...others, certSubjectDN: name }))).status).toBe(200)
    expect((await gate(undefined, withCertificate(others))).code).toBe('certificate-subject')
  })

  it.each([
    ['certificate-missing', NONE],
    ['certificate-invalid', { ...CERTIFICATE, certVerified: 'FAILED:self signed certificate' }],
    ['certificate-invalid', { ...CERTIFICATE, certVerified: 'success' }],
    ['certificate-invalid', { ...CERTIFICATE, certVerified: undefined }],
    ['certificate-invalid', { ...CERTIFICATE, certVerified: true }],
    ['certificate-invalid', { ...CERTIFICATE, certRevoked: '1' }],
    ['certificate-subject', { ...CERTIFICATE, certSubjectDNRFC2253: 'CN=partner' }],
    ['certificate-subject', { ...CERTIFICATE, certSubjectDNRFC2253: 'CN=partner,O=Acme,C=US' }],
    ['certificate-subject', { ...CERTIFICATE, certSubjectDNRFC2253: 'CN=partner\\,O=Acme' }],
    ['certificate-subject', { ...CERTIFICATE, certSubjectDNRFC2253: 'CN=PARTNER,O=Acme' }],
    ['certificate-subject', { ...CERTIFICATE, certSubjectDNRFC2253: '' }],
    ['certificate-subject', { ...CERTIFICATE, certSubjectDNRFC2253: ['CN=partner,O=Acme'] }],
  ])('%s: %j', async (code, certificate) => {
    const passage = await gate(undefined, withCertificate(certificate))
    expect(passage).toMatchObject({ code, status: 401 })
    expect(passage.response.headers.get('www-authenticate')).toBe('ClientCertificate realm="api"')
    expect(passage.x.identity).toBeUndefined()
  })

  it.each([undefined, null, 'SUCCESS'])('cannot be told where the platform says %j: 503', async (said) => {
    expect(await gate(undefined, withCertificate(said))).toMatchObject({ code: 'certificate-unavailable', status: 503 })
  })

  it('are never believed from a header', async () => {
    const headers = {
      'cf-client-cert-verified': 'SUCCESS',
      'ssl-client-verify': 'SUCCESS',
      'x-ssl-client-s-dn': 'CN=partner,O=Acme',
      'cf-tlsclientauth': JSON.stringify(CERTIFICATE),
      'client-cert': 'MII=',
    }
    expect((await gate(undefined, { headers })).code).toBe('certificate-unavailable')
    expect((await gate(undefined, { headers, ...withCertificate(NONE) })).code).toBe('certificate-missing')
  })

  it('may have to be of a certain issuer', async () => {
    const strict = gateOf({ issuers: ['cn=Acme CA'] })
    expect((await strict(undefined, withCertificate(CERTIFICATE))).status).toBe(200)
    const other = { ...CERTIFICATE, certIssuerDNRFC2253: 'CN=Other CA' }
    expect((await gate(undefined, withCertificate(other))).status).toBe(200)
    expect((await strict(undefined, withCertificate(other))).code).toBe('certificate-subject')
  })
})
