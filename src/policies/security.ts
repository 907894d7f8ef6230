import * as z from 'zod/mini'
import { choice, doc, duration, headerValue } from '../config/schema/scalars.ts'
import type { HeaderEdit } from '../core/exchange.ts'
import { definePolicy } from '../core/policy.ts'

const DAY_MS = 86_400_000

const hsts = z.strictObject({
  maxAge: doc(
    z.prefault(duration(0, 3_650 * DAY_MS), '365d'),
    'How long a browser asks this host by https alone; "0s" takes it back. Default 365d.',
  ),
  includeSubDomains: doc(z.prefault(z.boolean(), false), 'Whether every sub-domain has https too. Default false.'),
  preload: doc(
    z.prefault(z.boolean(), false),
    'Whether browsers may ship this host in their lists, which is hard to take back. Default false.',
  ),
})

const config = z.strictObject({
  hsts: doc(
    z.prefault(z.nullable(hsts), {}),
    'Strict-Transport-Security, on answers to https alone (RFC 6797 §7.2). Default: for 365d; null leaves it to the origin.',
  ),
  contentTypeOptions: doc(
    z.prefault(z.nullable(choice(['nosniff'])), 'nosniff'),
    'X-Content-Type-Options. Default nosniff; null leaves it to the origin.',
  ),
  frames: doc(
    z.prefault(z.nullable(choice(['deny', 'same-origin'])), 'deny'),
    'Who may show the answers in a frame: X-Frame-Options, and `frame-ancestors` of a Content-Security-Policy beside the origin’s. Default deny; null leaves it to the origin.',
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
    'Permissions-Policy, as it is to stand there. Default: no camera, geolocation, microphone, payment or usb; null leaves it to the origin.',
  ),
  contentSecurityPolicy: z.optional(
    doc(
      headerValue,
      'A Content-Security-Policy beside the origin’s: browsers hold to both. Default: only what `frames` says.',
    ),
  ),
})
type SecurityConfig = z.output<typeof config>

/** The headers by which browsers protect those who read the answers: on every answer of the route, refusals too. */
export const security = definePolicy({
  name: 'security',
  config,
  check: ({ hsts }) => {
    // What the lists of browsers ask for: https://hstspreload.org
    if (!hsts?.preload || (hsts.includeSubDomains && hsts.maxAge >= 365 * DAY_MS)) return []
    return [{ path: ['hsts', 'preload'], message: 'needs includeSubDomains and a maxAge of at least 365d' }]
  },
  compile: (policy) => {
    const always = compileEdits(policy)
    const secure = [...compileTransportSecurity(policy), ...always]
    // Nor may the origin say it by plain HTTP (RFC 6797 §7.2): it knows nothing of the client's way.
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
  const say = (op: 'set' | 'append', name: string, value: string | null) => {
    if (value !== null) edits.push({ op, name, value })
  }
  say('set', 'x-content-type-options', contentTypeOptions)
  say('set', 'referrer-policy', referrerPolicy)
  say('set', 'permissions-policy', permissionsPolicy)
  say('set', 'x-frame-options', frames && (frames === 'deny' ? 'DENY' : 'SAMEORIGIN'))
  // Never in place of the origin's: a second policy can only forbid more (CSP level 3 §8.1).
  say('append', 'content-security-policy', frames && `frame-ancestors ${frames === 'deny' ? "'none'" : "'self'"}`)
  say('append', 'content-security-policy', csp ?? null)
  return edits
}
