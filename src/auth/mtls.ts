import type { ProblemCode } from '../core/problem.ts'
import { parseDistinguishedName } from '../lib/distinguished-name.ts'
import { authenticatedOnce, noRecall, type Authenticated, type Authenticator } from './authenticator.ts'
import type { MtlsProviderConfig } from './config/auth-provider.ts'

/** What Cloudflare says of the client's certificate, as far as it is looked at. All of it is text. */
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
 * A provider of type `mtls`: client certificates that Cloudflare verified, as `request.cf.tlsClientAuth` says. The runtime sets that, a
 * client cannot; a header that says the same is never looked at.
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

/** Comparable form → as written. */
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
  // As the provider writes it, so that a revocation by that name finds it, however the platform spells it.
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
