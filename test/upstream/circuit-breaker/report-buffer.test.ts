import { expect, it } from 'vitest'
import { makeReportBuffer } from '../../../src/upstream/circuit-breaker/report-buffer.ts'
import { makeTestExchange } from '../../support/exchange.ts'

const HOUR = 3_600_000

/** A buffer whose reports are counted; `begun` counts those that a request has taken upon itself. */
function makeCounted() {
  const counted = { begun: 0, sent: 0 }
  let now = HOUR
  const buffer = makeReportBuffer(() => {
    counted.sent++
    buffer.take(now)
    return Promise.resolve()
  })
  const x = makeTestExchange(undefined, { waitUntil: () => void counted.begun++ })
  return { buffer, x, counted, at: (time: number) => (now = time) }
}

it('is reported by the request that opened it, and by another when that one is lost', () => {
  const { buffer, x, counted } = makeCounted()
  // The last one after the clock was set back.
  const begun = [HOUR, HOUR + 1_999, HOUR + 2_000, 0].map((now) => {
    buffer.record(x, now === 0, false, now)
    return counted.begun
  })
  expect(begun).toEqual([1, 1, 2, 3])
  expect(buffer.take(0)).toEqual({ calls: 4, failures: 1, slow: 0 })
  buffer.record(x, false, false, 1)
  expect(counted.begun).toBe(4)
})

it('sends what is urgent at once, but not within 200 ms of the last report, nor beside one that is coming', async () => {
  const { buffer, x, counted, at } = makeCounted()
  void buffer.flush(x, at(HOUR))
  expect(counted).toEqual({ begun: 1, sent: 1 })
  const later = buffer.flush(x, at(HOUR + 150))
  await buffer.flush(x, at(HOUR + 160))
  expect(counted).toEqual({ begun: 2, sent: 1 })
  await later
  expect(counted).toEqual({ begun: 2, sent: 2 })
})

it('polls at first, and a second after the last report', () => {
  const { buffer, x, counted, at } = makeCounted()
  const sent = [HOUR, HOUR + 999, HOUR + 1_000, 0].map((now) => {
    buffer.poll(x, at(now))
    return counted.sent
  })
  expect(sent).toEqual([1, 1, 2, 3])
})
