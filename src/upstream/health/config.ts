import * as z from 'zod/mini'
import { doc, duration, expected } from '../../config/schema/scalars.ts'

const percent = z.int().check(z.gte(0), z.lte(100))
const count = z.int().check(z.gte(1), z.lte(1_000))

/** Passing over a target whose own answers are bad; judged by each isolate from the tries that it makes. */
export const outlierDetection = z.strictObject({
  consecutive5xx: doc(
    z.prefault(count, 5),
    'Ejects a target after so many failed tries in a row: 5xx, timeouts, rejected connections. Default 5.',
  ),
  baseEjection: doc(
    z.prefault(duration(), '30s'),
    'How long a target is passed over the first time; as much longer each time after. Default 30s.',
  ),
  maxEjection: doc(z.prefault(duration(), '5m'), 'The longest that a target is passed over at a stretch. Default 5m.'),
  maxEjectionPercent: doc(
    z.prefault(percent, 50),
    'At most this percentage of the targets is ejected at once, and never all of them. Default 50.',
  ),
  panicThreshold: doc(
    z.prefault(percent, 50),
    'When less than this percentage of the targets is healthy, health is ignored: all of them share the load. Default 50.',
  ),
})

/** Asking each target how it is, from one place in each region. */
export const healthCheck = z.strictObject({
  path: doc(
    z.string().check(z.startsWith('/', 'expected a path that starts with "/"')),
    'What is asked with GET, behind the target’s own path; 2xx means healthy.',
  ),
  interval: doc(z.prefault(duration(1_000), '10s'), 'How often each target is asked. Default 10s.'),
  timeout: doc(z.prefault(duration(), '1s'), 'How long an answer may take; not longer than `interval`. Default 1s.'),
  unhealthyThreshold: doc(
    z.prefault(count, 3),
    'So many failures in a row make a healthy target unhealthy. Default 3.',
  ),
  healthyThreshold: doc(
    z.prefault(count, 1),
    'So many good answers in a row make an unhealthy target healthy. Default 1.',
  ),
})

/** One more try beside a slow one. */
export const hedge = z.strictObject({
  after: doc(
    z.prefault(
      z.union([z.literal('p95'), duration()], expected('expected "p95" or a duration such as "100ms"')),
      'p95',
    ),
    'How long the first try is waited for: a duration, or `p95`, what 95 % of this route’s answers took. Default p95.',
  ),
  max: doc(z.prefault(z.int().check(z.gte(1), z.lte(3)), 1), 'How many more tries there may be. Default 1.'),
})

/** A checked `outlierDetection`; durations in milliseconds. */
export type OutlierConfig = z.output<typeof outlierDetection>
/** A checked `healthCheck`; durations in milliseconds. */
export type HealthCheckConfig = z.output<typeof healthCheck>
/** A checked `hedge`; `after` is `p95` or milliseconds. */
export type HedgeConfig = z.output<typeof hedge>
