import * as z from 'zod/mini'
import { doc, duration } from '../../config/schema/scalars.ts'

const wholePercent = z.int().check(z.gte(0), z.lte(100))
const count = z.int().check(z.gte(1), z.lte(1_000))

/** The schema of passive health checks: each isolate ejects a target by the results of its own attempts. */
export const outlierDetectionSchema = z.strictObject({
  consecutive5xx: doc(
    z.prefault(count, 5),
    'How many failed attempts in a row eject a target: 5xx, timeouts, rejected connections. Default 5.',
  ),
  baseEjection: doc(
    z.prefault(duration(), '30s'),
    'How long the first ejection of a target lasts; each further one lasts that much longer. Default 30s.',
  ),
  maxEjection: doc(z.prefault(duration(), '5m'), 'The longest that one ejection lasts. Default 5m.'),
  maxEjectionPercent: doc(
    z.prefault(wholePercent, 50),
    'The largest percentage of the targets that is ejected at once; never all of them. Default 50.',
  ),
  panicThreshold: doc(
    z.prefault(wholePercent, 50),
    'When less than this percentage of the targets is healthy, health is ignored and all targets share the load. Default 50.',
  ),
})

/** The schema of active health checks: one object in each region checks every target. */
export const healthCheck = z.strictObject({
  path: doc(
    z.string().check(z.startsWith('/', 'expected a path that starts with "/"')),
    'The path of the GET request, appended to the target’s own path; 2xx means healthy.',
  ),
  interval: doc(z.prefault(duration(1_000), '10s'), 'How often each target is checked. Default 10s.'),
  timeout: doc(z.prefault(duration(), '1s'), 'How long a check may take; not longer than `interval`. Default 1s.'),
  unhealthyThreshold: doc(
    z.prefault(count, 3),
    'How many failed checks in a row make a healthy target unhealthy. Default 3.',
  ),
  healthyThreshold: doc(
    z.prefault(count, 1),
    'How many passed checks in a row make an unhealthy target healthy. Default 1.',
  ),
})
/** A checked `outlierDetection`; durations in milliseconds. */
export type OutlierConfig = z.output<typeof outlierDetectionSchema>
/** A checked `healthCheck`; durations in milliseconds. */
export type HealthCheckConfig = z.output<typeof healthCheck>
