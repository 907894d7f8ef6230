import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { scrub, secretsOf } from '../../src/telemetry/scrub.ts'

const JWT = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJlLWhlcmU'
const HUSH = 'hunter2-hush'

describe('scrub', () => {
  it.each([
    `invalid token ${JWT}`,
    `{"token":"${JWT}"}`,
    `Authorization: Bearer ${HUSH}`,
    `authorization: ApiKey ${HUSH}`,
    `Proxy-Authorization: Basic ${HUSH}`,
    `bearer ${HUSH} was refused`,
    `cookie: theme=dark; session=${HUSH}`,
    `Set-Cookie: id=${HUSH}; Path=/`,
    `{"password":"${HUSH}"}`,
    `client_secret=${HUSH}&grant_type=x`,
    `x-api-key: ${HUSH}`,
    `apiKey = '${HUSH} and a space'`,
    `refresh_token: "${HUSH}"`,
    `fetch https://example.com/cb?code=${HUSH} failed`,
    `at https://example.com?state=${HUSH}`,
    `GET /cb?code=${HUSH}&x=1`,
    `https://user:${HUSH}@example.com/`,
    `-----BEGIN PRIVATE KEY-----\n${HUSH}\n-----END PRIVATE KEY-----`,
    `-----BEGIN PRIVATE KEY-----\n${HUSH}`,
  ])('%s', (text) => {
    const clean = scrub(text)
    expect(clean).toContain('[scrubbed]')
    expect(clean).not.toMatch(/hunter2|hush|eyJ/)
  })

  it.each([
    "TypeError: Cannot read properties of undefined (reading 'body')",
    'at handler (worker.js:12:34)',
    'expected a token, found none',
    'The upstream answered with 502 in 12 ms; attempts: 2',
  ])('leaves %j as it is', (text) => {
    expect(scrub(text)).toBe(text)
  })

  it('keeps no part of a secret that stands across the cut', () => {
    const text = `${'word '.repeat(3_276)}${HUSH.repeat(4)}`
    expect(scrub(text)).not.toMatch(/hunter2/)
    expect(scrub('x'.repeat(20_000))).toBe('')
  })

  it('takes no time that grows with the square of the text', () => {
    const long = ['a', '/', '-', 'ey-', 'token', 'cookie ', 'bearer ', '//', '-----BEGIN ', 'token="', 'session:'].map(
      (unit) => unit.repeat(16_384 / unit.length),
    )
    const began = Date.now()
    for (let round = 0; round < 10; round++) for (const text of long) scrub(text)
    expect(Date.now() - began).toBeLessThan(1_000)
  })
})

describe('what a request brought', () => {
  const request = (headers: Record<string, string>, query = '') => new Request(`https://gw.test/a${query}`, { headers })

  it('is found in credentials, cookies and the query, in whole and in part', () => {
    const found = secretsOf(
      request(
        { authorization: 'Bearer abcdef-1', cookie: 'sid=cookie-2; x=1', 'x-api-key': 'key-33' },
        '?q=a%20query%204&n=5',
      ),
    )
    expect(found).toEqual(expect.arrayContaining(['abcdef-1', 'cookie-2', 'key-33', 'a query 4', 'a%20query%204']))
    expect(found).not.toContain('1')
  })

  it('never comes back, wherever an error repeats it', () => {
    const secret = fc.string({ unit: fc.constantFrom(...'abcXYZ0189._~-'.split('')), minLength: 6, maxLength: 40 })
    fc.assert(
      fc.property(secret, fc.string(), fc.string(), (value, before, after) => {
        const all = [
          request({ authorization: `Bearer ${value}` }),
          request({ 'x-api-key': value }),
          request({ cookie: `a=1; sid=${value}` }),
          request({}, `?t=${value}`),
        ]
        for (const one of all) expect(scrub(`${before}${value}${after}`, secretsOf(one))).not.toContain(value)
      }),
      { numRuns: 300 },
    )
  })
})
