import { createServer } from 'node:http'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { listen } from '../support/listen.ts'
import { runWorker } from '../support/run-worker.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'

const arrived: { url: string; body: string }[] = []
const collect = createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8')
  request.on('data', (chunk: string) => (body += chunk))
  request.on('end', () => {
    arrived.push({ url: request.url ?? '', body })
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
})
const sentry = await listen(collect)
const worker = await runWorker(join(import.meta.dirname, '../telemetry/worker.ts'), {
  variables: {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    OTEL_TRACES_SAMPLER_ARG: '0',
    SENTRY_DSN: `http://publickey@127.0.0.1:${sentry.port}/42`,
  },
})
afterAll(async () => {
  await worker.stop()
  await sentry.stop()
})

const fail = () =>
  fetch(`${worker.url}/throws?code=query-secret`, {
    headers: {
      authorization: 'Bearer bearer-secret',
      cookie: 'sid=cookie-secret',
      'x-api-key': 'key-secret',
      traceparent: `00-${TRACE}-b7ad6b7169203331-00`,
    },
  })

it('reports an unexpected error as an envelope without a secret in it', async () => {
  expect((await fail()).status).toBe(500)
  await expect.poll(() => arrived.length).toBe(1)
  const { url, body } = arrived[0]!
  expect(url).toMatch(/^\/api\/42\/envelope\/\?/)
  expect(url).toContain('sentry_key=publickey')
  const lines = body.trimEnd().split('\n')
  expect(lines).toHaveLength(3)
  const [envelope, item, event] = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(envelope).toMatchObject({ event_id: expect.stringMatching(/^[0-9a-f]{32}$/) as string })
  expect(item).toMatchObject({ type: 'event' })
  expect(event).toMatchObject({
    event_id: envelope!['event_id'],
    level: 'error',
    tags: { route: 'test', method: 'GET' },
    extra: { path: '/throws' },
    contexts: { trace: { trace_id: TRACE } },
    sdk: { name: 'toucan-js', integrations: [] },
  })
  const { values } = event!['exception'] as {
    values: { type: string; value: string; stacktrace: { frames: unknown[] } }[]
  }
  expect(values).toHaveLength(1)
  expect(values[0]).toMatchObject({ type: 'TypeError', value: 'cannot read [scrubbed]' })
  expect(values[0]!.stacktrace.frames.length).toBeGreaterThan(1)
  for (const text of [body, url, worker.output()]) expect(text).not.toMatch(/-secret/)
})

it('writes a line for every error, but reports ten in a minute', async () => {
  for (let errors = 1; errors < 15; errors++) await fail()
  await expect.poll(() => arrived.length).toBe(10)
  const lines = worker.output().trim().split('\n')
  expect(lines.filter((line) => line.includes('"event":"error"'))).toHaveLength(15)
  expect(arrived).toHaveLength(10)
})
