import * as z from 'zod/mini'
import { choice, doc, duration, headerValue } from '../config/schema/scalars.ts'
import type { HeaderEdit } from '../core/exchange.ts'
import { definePolicy } from '../core/policy.ts'

const DAY_MS = 86_400_000

const hsts = z.strictObject({
  maxAge: doc(
    z.prefault(duration(0, 3_650 * DAY_MS), '365d'),
    'How long browsers use only https for this host; "0s" cancels it. Default 365d.',
  ),
  includeSubDomains: doc(z.prefault(z.boolean(), false), 'Whether it applies to every sub-domain too. Default false.'),
  preload: doc(
    z.prefault(z.boolean(), false),
    'Whether browsers may preload this host, which is hard to undo. Default false.',
  ),
})

const config = z.strictObject({
  hsts: doc(
    z.prefault(z.nullable(hsts), {}),
    'Strict-Transport-Security, on responses by https only (RFC 6797 §7.2). Default: for 365d; null leaves it to the origin.',
  ),
  contentTypeOptions: doc(
    z.prefault(z.nullable(choice(['nosniff'])), 'nosniff'),
    'X-Content-Type-Options. Default nosniff; null leaves it to the origin.',
  ),
  frames: doc(
    z.prefault(z.nullable(choice(['deny', 'same-origin'])), 'deny'),
    'Which pages may embed the responses in a frame: X-Frame-Options, and `frame-ancestors` of a Content-Security-Policy besides the origin’s. Default deny; null leaves it to the origin.',
  ),
  referrerPolicy: doc(
    z.prefault(
      z.nullable(
        choice([
          'no-referrer',
          'same-origin',
          'strict-origin',
          'strict-origin-when-cross-origin',
          'origin',
          'origin-when-cross-origin',
          'no-referrer-when-downgrade',
          'unsafe-url',
        ]),
      ),
      'no-referrer',
    ),
    'Referrer-Policy. Default no-referrer; null leaves it to the origin.',
  ),
  permissionsPolicy: doc(
    z.prefault(z.nullable(headerValue), 'camera=(), geolocation=(), microphone=(), payment=(), usb=()'),
    'The value of Permissions-Policy. Default: no camera, geolocation, microphone, payment or usb; null leaves it to the origin.',
  ),
  contentSecurityPolicy: z.optional(
    doc(headerValue, 'A Content-Security-Policy besides the origin’s: browsers enforce both. Default: only `frames`.'),
  ),
})
type SecurityConfig = z.output<typeof config>

/** The policy `security`: sets the headers by which browsers protect users, on every response of the route, refusals too. */
export const security = definePolicy({
  name: 'security',
  config,
  check: ({ hsts }) => {
    // The requirements of the preload list: https://hstspreload.org
    if (!hsts?.preload || (hsts.includeSubDomains && hsts.maxAge >= 365 * DAY_MS)) return []
    return [{ path: ['hsts', 'preload'], message: 'needs includeSubDomains and a maxAge of at least 365d' }]
  },
  compile: (policy) => {
    const always = compileEdits(policy)
    const secure = [...compileTransportSecurity(policy), ...always]
    // The origin's header is removed from responses by plain HTTP (RFC 6797 §7.2): the origin does not know the client's scheme.
    const plain = policy.hsts === null ? always : [NO_TRANSPORT_SECURITY, ...always]
    return (next) => (x) => {
      x.edits.push(...(x.client.scheme === 'https' ? secure : plain))
      return next(x)
    }
  },
})

const NO_TRANSPORT_SECURITY: HeaderEdit = { op: 'remove', name: 'strict-transport-security', value: '' }

function compileTransportSecurity({ hsts }: SecurityConfig): HeaderEdit[] {
  if (hsts === null) return []
  const { maxAge, includeSubDomains, preload } = hsts
  const value = `max-age=${Math.floor(maxAge / 1_000)}${includeSubDomains ? '; includeSubDomains' : ''}${preload ? '; preload' : ''}`
  return [{ op: 'set', name: 'strict-transport-security', value }]
}

function compileEdits(policy: SecurityConfig): HeaderEdit[] {
  const { contentTypeOptions, frames, referrerPolicy, permissionsPolicy, contentSecurityPolicy: csp } = policy
  const edits: HeaderEdit[] = []
  const addEdit = (op: 'set' | 'append', name: string, value: string | null) => {
    if (value !== null) edits.push({ op, name, value })
  }
  addEdit('set', 'x-content-type-options', contentTypeOptions)
  addEdit('set', 'referrer-policy', referrerPolicy)
  addEdit('set', 'permissions-policy', permissionsPolicy)
  addEdit('set', 'x-frame-options', frames && (frames === 'deny' ? 'DENY' : 'SAMEORIGIN'))
  // Appended to the origin's policy: a second one can only restrict further (CSP level 3 §8.1).
  addEdit('append', 'content-security-policy', frames && `frame-ancestors ${frames === 'deny' ? "'none'" : "'self'"}`)
  addEdit('append', 'content-security-policy', csp ?? null)
  return edits
}
