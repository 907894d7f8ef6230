import { describe, expect, it } from 'vitest'
import type { Outgoing } from '../../src/core/exchange.ts'
import { problemCode } from '../../src/core/problem.ts'
import { deadline, parseGrpcTimeout, parseTimeoutMs } from '../../src/upstream/deadline.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestPlatform } from '../support/platform.ts'

const platform = makeTestPlatform({ now: () => 1_100 })
const answer = () => Promise.resolve(new Response('ok'))
const exchange = (headers: Record<string, string> = {}, deadlineAt = Infinity) =>
  makeTestExchange(new Request('https://gw.test/', { headers }), { startedAt: 1_000, deadline: deadlineAt })

describe('deadline', () => {
  it.each([
    [{}, 6_000],
    [{ 'x-request-timeout-ms': '300' }, 1_300],
    [{ 'x-request-timeout-ms': '9000' }, 6_000],
    [{ 'x-request-timeout-ms': 'soon' }, 6_000],
    [{ 'x-request-timeout-ms': '-1' }, 6_000],
    [{ 'grpc-timeout': '2S' }, 3_000],
    [{ 'grpc-timeout': '2S', 'x-request-timeout-ms': '500' }, 1_500],
  ])('%o ends at %i', async (headers, at) => {
    const x = exchange(headers)
    await deadline(5_000, platform)(answer)(x)
    expect(x.deadline).toBe(at)
  })

  it.each<[string, Partial<Outgoing>, number]>([
    ['counts from the end of a body that a policy has read', { body: new Uint8Array(3) }, 6_100],
    ['is set by the end of a body that streams', { body: new Blob(['abc']).stream() }, Infinity],
    ['counts from arrival for a body that is not sent', { method: 'GET', body: new Blob(['abc']).stream() }, 6_000],
  ])('%s', async (_, outgoing, at) => {
    const x = exchange()
    Object.assign(x.outgoing, { method: 'POST' } satisfies Partial<Outgoing>, outgoing)
    await deadline(5_000, platform)(answer)(x)
    expect(x.deadline).toBe(at)
  })

  it('a client that sends a body can ask for less, from arrival', async () => {
    const x = exchange({ 'x-request-timeout-ms': '300' })
    Object.assign(x.outgoing, { method: 'POST', body: new Blob(['abc']).stream() } satisfies Partial<Outgoing>)
    await deadline(5_000, platform)(answer)(x)
    expect(x.deadline).toBe(1_300)
  })

  it('never lengthens one that is set', async () => {
    const x = exchange({}, 1_200)
    await deadline(5_000, platform)(answer)(x)
    expect(x.deadline).toBe(1_200)
  })

  it('tells a gRPC origin what is left', async () => {
    const x = exchange({ 'grpc-timeout': '2S' })
    await deadline(5_000, platform)(answer)(x)
    expect(x.outgoing.headers['grpc-timeout']).toBe('1900m')
  })

  it('answers 504 when nothing is left', async () => {
    const response = await deadline(5_000, platform)(answer)(exchange({ 'x-request-timeout-ms': '100' }))
    expect(problemCode(response)).toBe('upstream-timeout')
  })
})

it('parses timeouts', () => {
  expect(['0', '15', '1234567890', '1.5', ''].map(parseTimeoutMs)).toEqual([0, 15, Infinity, Infinity, Infinity])
  expect(['1H', '1M', '1S', '1m', '1000u', '123456789S', '5', undefined].map(parseGrpcTimeout)).toEqual([
    3_600_000,
    60_000,
    1_000,
    1,
    1,
    Infinity,
    Infinity,
    Infinity,
  ])
})
