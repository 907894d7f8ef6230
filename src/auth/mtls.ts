import type { ProblemCode } from '../core/problem.ts'
import { parseDistinguishedName } from '../lib/distinguished-name.ts'
import { authenticatedOnce, noRecall, type Authenticated, type Authenticator } from './authenticator.ts'
import type { MtlsProviderConfig } from './config/auth-provider.ts'

/** The members of Cloudflare's `tlsClientAuth` that are used. All are text. */
type Certificate = Partial<
  Record<
    | 'certPresented'
    | 'certVerified'
    | 'certRevoked'
    | 'certSubjectDN'
    | 'certSubjectDNRFC2253'
    | 'certIssuerDN'
    | 'certIssuerDNRFC2253'
    | 'certSerial'
    | 'certFingerprintSHA256',
    unknown
  >
>

/**
 * A provider of type `mtls`: client certificates that Cloudflare verified, from `request.cf.tlsClientAuth`. Only the runtime can set
 * it; headers about a certificate are never read.
 */
export function makeMtlsAuthenticator(name: string, config: MtlsProviderConfig): Authenticator {
  const subjects = namesOf(config.subjects)
  const issuers = config.issuers && namesOf(config.issuers)
  return {
    name,
    configured: true,
    challenge: 'ClientCertificate realm="api"',
    missing: 'certificate-missing',
    discloses: config.discloseRequirements,
    hides: undefined,
    recall: noRecall,
    async authenticate({ request }) {
      const found = request.cf?.tlsClientAuth as Certificate | null | undefined
      if (typeof found !== 'object' || found === null) return 'certificate-unavailable'
      if (found.certPresented === '0' || found.certVerified === 'NONE') return undefined
      return judge(name, found, subjects, issuers)
    },
  }
}

/** Comparable form → the written form. */
type Names = ReadonlyMap<string, string>

const namesOf = (names: readonly string[]): Names => new Map(names.map((name) => [parseDistinguishedName(name)!, name]))

function judge(
  provider: string,
  found: Certificate,
  subjects: Names,
  issuers: Names | undefined,
): Authenticated | ProblemCode {
  if (found.certVerified !== 'SUCCESS' || found.certRevoked === '1') return 'certificate-invalid'
  const subject = lookUp(subjects, found.certSubjectDNRFC2253 ?? found.certSubjectDN)
  const issuer = found.certIssuerDNRFC2253 ?? found.certIssuerDN
  // In the provider's spelling, so that a revocation by that name matches, whatever the platform's spelling is.
  const iss = issuers ? lookUp(issuers, issuer) : typeof issuer === 'string' ? issuer : ''
  if (subject === undefined || iss === undefined) return 'certificate-subject'
  return authenticatedOnce({
    provider,
    issuer: iss,
    subject,
    scopes: [],
    roles: [],
    claims: { iss, sub: subject, serial: found.certSerial, fingerprint: found.certFingerprintSHA256 },
  })
}

function lookUp(names: Names, name: unknown): string | undefined {
  const comparable = typeof name === 'string' ? parseDistinguishedName(name) : undefined
  return comparable === undefined ? undefined : names.get(comparable)
}
