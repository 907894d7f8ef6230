import { expect, it } from 'vitest'
import { compileRatio } from '../../src/telemetry/active-trace.ts'
import { makeTraceId } from '../../src/telemetry/trace-context.ts'

const ids = Array.from({ length: 20_000 }, makeTraceId)
const share = (setting: string | undefined) => ids.filter(compileRatio(setting)).length / ids.length

it.each([
  ['0', 0],
  ['1', 1],
  [undefined, 1],
  ['1.0', 1],
  // Not a ratio: everything is sampled.
  ['2', 1],
  ['-0.5', 1],
  ['half', 1],
])('keeps exactly what %j says', (setting, expected) => {
  expect(share(setting)).toBe(expected)
})

it.each(['0.5', '0.0625', '0.9'])('keeps %s of all traces', (setting) => {
  // Five standard deviations: one false alarm in two million runs.
  const ratio = Number(setting)
  expect(Math.abs(share(setting) - ratio)).toBeLessThan(5 * Math.sqrt((ratio * (1 - ratio)) / ids.length))
})

it('keeps at a higher ratio whatever it keeps at a lower one, by the random end of the id alone', () => {
  const [few, many] = [compileRatio('0.1'), compileRatio('0.3')]
  expect(ids.filter(few).every(many)).toBe(true)
  expect(few(`${'0'.repeat(18)}${'f'.repeat(14)}`)).toBe(true)
  expect(few(`${'f'.repeat(18)}${'0'.repeat(14)}`)).toBe(false)
})
