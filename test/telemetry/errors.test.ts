import { afterEach, expect, it, vi } from 'vitest'
import { makeErrorReporter } from '../../src/telemetry/errors.ts'

const written = vi.spyOn(console, 'error').mockImplementation(() => {})
afterEach(() => written.mockClear())

const x = {
  id: '0af7651916cd43dd8448eb211c80319c',
  route: 'get-user',
  request: new Request('https://gw.test/users/7?pin=998877', { headers: { authorization: 'Bearer hush-hush' } }),
}
const report = (error: unknown, level?: string) =>
  makeErrorReporter({
    variable: (name) => (name === 'LOG_LEVEL' ? level : undefined),
    now: () => 1_800_000_000_000,
    fetch,
  })(error, x, () => {})
const line = () => JSON.parse(String(written.mock.calls[0]![0])) as Record<string, string>

it('writes one line that says where, and no secret', () => {
  report(new RangeError('pin 998877 of hush-hush', { cause: new Error('cookie: a=1') }))
  const { stack, ...rest } = line()
  expect(rest).toEqual({
    time: '2027-01-15T08:00:00.000Z',
    level: 'error',
    event: 'error',
    id: x.id,
    route: 'get-user',
    method: 'GET',
    path: '/users/7',
    name: 'RangeError',
    message: 'pin [scrubbed] of [scrubbed] (caused by Error: cookie: [scrubbed]',
  })
  expect(stack).toContain('errors.test.ts')
  expect(JSON.stringify(written.mock.calls)).not.toMatch(/998877|hush/)
})

const hostile = new Proxy(new Error('x'), {
  get: () => {
    throw new Error('even this')
  },
})
it.each([
  ['a string', 'oops', 'oops'],
  ['undefined', undefined, 'undefined'],
  ['null', null, 'null'],
  ['a symbol', Symbol('s'), 'Symbol(s)'],
  ['an object without a prototype', Object.create(null), 'an error that cannot be read'],
  ['what throws when it is looked at', hostile, 'an error that cannot be read'],
])('survives %s', (_, error, message) => {
  report(error)
  expect(line()['message']).toBe(message)
})

it('is silent when told so', () => {
  report(new Error('x'), 'silent')
  expect(written).not.toHaveBeenCalled()
})
