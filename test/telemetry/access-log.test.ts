import { afterEach, expect, it, vi } from 'vitest'
import { makeAccessLog, type AccessEntry } from '../../src/telemetry/access-log.ts'

const entry: AccessEntry = {
  time: 1_800_000_000_000,
  route: 'get-user',
  method: 'GET',
  path: '/a\n"b"',
  status: 200,
  ms: 3,
  code: undefined,
  id: '0af7651916cd43dd8448eb211c80319c',
  client: '192.0.2.1',
  inFlight: 1,
}

const written = vi.spyOn(console, 'log').mockImplementation(() => {})
afterEach(() => written.mockClear())

const log = (level: string | undefined) => makeAccessLog((name) => (name === 'LOG_LEVEL' ? level : undefined))

it('writes one line of JSON', () => {
  log(undefined)!(entry)
  const line = String(written.mock.calls[0]![0])
  expect(line).not.toContain('\n')
  const { code: _, ...rest } = entry
  expect(JSON.parse(line)).toEqual({ ...rest, time: '2027-01-15T08:00:00.000Z', level: 'info', event: 'request' })
})

it.each([
  [undefined, ['info', 'info', 'warn']],
  ['debug', ['info', 'info', 'warn']],
  ['INFO', ['info', 'info', 'warn']],
  ['nonsense', ['info', 'info', 'warn']],
  ['warn', ['warn']],
])('at LOG_LEVEL %j writes %j of a 200, a 401 and a 503', (level, expected) => {
  for (const status of [200, 401, 503]) log(level)!({ ...entry, status })
  expect(written.mock.calls.map(([line]) => (JSON.parse(String(line)) as { level: string }).level)).toEqual(expected)
})

it.each(['error', 'silent'])('is not there at LOG_LEVEL %s', (level) => {
  expect(log(level)).toBeUndefined()
})
