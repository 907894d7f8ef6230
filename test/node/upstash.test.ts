import { Ratelimit } from '@upstash/ratelimit'
import { Redis, type RedisConfigNodejs } from '@upstash/redis'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startUpstash, type Upstash } from '../../dev/upstash/server.ts'

let upstash: Upstash
beforeAll(async () => {
  upstash = await startUpstash()
})
afterAll(() => upstash.stop())

const connect = (parts: Partial<RedisConfigNodejs> = {}) =>
  new Redis({ url: upstash.url, token: upstash.token, retry: false, enableTelemetry: false, ...parts })

async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(upstash.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${upstash.token}`, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as unknown }
}

describe('the real @upstash/redis', () => {
  it.each([
    ['base64', connect],
    ['plain', () => connect({ responseEncoding: false })],
  ])('reads what it wrote, in %s', async (_, make) => {
    const redis = make()
    const value = { text: 'Grüße, "世界" 🎉\r\n', list: [1, null, 'OK'] }
    expect(await redis.set('value', value)).toBe('OK')
    expect(await redis.get('value')).toEqual(value)
    expect(await redis.get('nothing')).toBeNull()
    await redis.del('hash')
    expect(await redis.hset('hash', { a: 'x', b: 2 })).toBe(2)
    expect(await redis.hgetall('hash')).toEqual({ a: 'x', b: 2 })
    expect(await redis.mget('value', 'nothing')).toEqual([value, null])
    expect(await redis.eval('return {1, "two", {3, false}}', [], [])).toEqual([1, 'two', [3, null]])
  })

  it('reads a reply that is larger than one chunk', async () => {
    const text = 'ü'.repeat(2_000_000)
    await connect().set('large', text)
    expect(await connect().get('large')).toBe(text)
  })

  it('pipelines: one command failing stops no other', async () => {
    const pipeline = connect().pipeline()
    pipeline.set('word', 'x').incr('word').get('word')
    const results = await pipeline.exec({ keepErrors: true })
    expect(results).toEqual([
      { result: 'OK', error: undefined },
      { error: expect.stringMatching(/^ERR value is not an integer/), result: undefined },
      { result: 'x', error: undefined },
    ])
  })

  it('runs transactions that nobody comes between', async () => {
    const redis = connect({ enableAutoPipelining: false })
    const run = () => redis.multi().incr('atomic').incr('atomic').exec<[number, number]>()
    for (const [one, two] of await Promise.all(Array.from({ length: 50 }, run))) expect(two).toBe(one + 1)
    expect(await redis.get('atomic')).toBe(100)
  })

  it('is refused with a wrong token', async () => {
    await expect(connect({ token: 'wrong' }).get('value')).rejects.toThrow('WRONGPASS')
  })
})

describe('the real @upstash/ratelimit', () => {
  it('runs its scripts, which stock Redis refuses as they are', async () => {
    const redis = connect({ enableAutoPipelining: false })
    const limiters = {
      fixed: Ratelimit.fixedWindow(3, '30 d'),
      sliding: Ratelimit.slidingWindow(3, '30 d'),
      bucket: Ratelimit.tokenBucket(1, '30 d', 3),
    }
    for (const [prefix, limiter] of Object.entries(limiters)) {
      const ratelimit = new Ratelimit({ redis, limiter, prefix, ephemeralCache: false })
      const answers = [1, 2, 3, 4, 5].map(() => ratelimit.limit('someone'))
      const successes = (await Promise.all(answers)).map(({ success }) => success)
      expect([prefix, successes.filter(Boolean).length]).toEqual([prefix, 3])
      await ratelimit.resetUsedTokens('someone')
      expect((await ratelimit.limit('someone')).remaining).toBe(2)
    }
  })

  it('finds a loaded script again by the hash that it knows', async () => {
    const script = '#!lua flags=allow-key-locking\nreturn ARGV[1]'
    const { body } = await post('/', ['EVAL', script, 0, 'a'])
    expect(body).toEqual({ result: 'a' })
    const sha = Buffer.from(await crypto.subtle.digest('SHA-1', Buffer.from(script))).toString('hex')
    expect((await post('/', ['EVALSHA', sha, 0, 'b'])).body).toEqual({ result: 'b' })
    expect((await post('/', ['SCRIPT', 'EXISTS', sha])).body).toEqual({ result: [1] })
    expect((await post('/', ['EVALSHA', '0'.repeat(40), 0, 'b'])).body).toEqual({
      error: expect.stringMatching(/^NOSCRIPT/),
    })
  })
})

describe('the protocol', () => {
  it('encodes every string but OK in base64 when asked to', async () => {
    const headers = { 'upstash-encoding': 'base64' }
    expect((await post('/', ['SET', 'foo', 'bar'], headers)).body).toEqual({ result: 'OK' })
    expect((await post('/', ['GET', 'foo'], headers)).body).toEqual({ result: 'YmFy' })
    expect((await post('/', ['MGET', 'foo', 'none'], headers)).body).toEqual({ result: ['YmFy', null] })
    expect((await post('/', ['STRLEN', 'foo'], headers)).body).toEqual({ result: 3 })
    await post('/', ['BITOP', 'NOT', 'binary', 'foo'])
    expect((await post('/', ['GET', 'binary'], headers)).body).toEqual({ result: 'nZ6N' })
    expect((await post('/', ['GET', 'binary'])).body).toEqual({ result: '\ufffd\ufffd\ufffd' })
  })

  it.each([
    ['/', ['NONSENSE'], 400, /^ERR unknown command/],
    ['/', ['GET'], 400, /^ERR wrong number of arguments for 'get' command/],
    ['/', ['monitor'], 400, /^ERR Command is not available: 'MONITOR'/],
    ['/', '{', 400, /^ERR expected a JSON array/],
    ['/', [], 400, /^ERR expected a JSON array/],
    ['/', ['GET', { a: 1 }], 400, /^ERR expected strings, numbers and booleans/],
    ['/pipeline', ['GET', 'a'], 400, /^ERR expected a JSON array/],
    ['/multi-exec', [['SET', 'discarded', 1], ['NONSENSE']], 400, /^ERR unknown command/],
    ['/get/a', '', 400, /^ERR expected the path/],
  ])('answers %s %j with %d', async (path, body, status, error) => {
    expect(await post(path, body)).toEqual({ status, body: { error: expect.stringMatching(error) } })
  })

  it('runs nothing of a transaction that is discarded', async () => {
    await post('/multi-exec', [['SET', 'half', 1], ['NONSENSE']])
    expect((await post('/', ['GET', 'half'])).body).toEqual({ result: null })
    const { status, body } = await post('/multi-exec', [
      ['SET', 'half', 'x'],
      ['INCR', 'half'],
      ['GET', 'half'],
    ])
    expect(status).toBe(200)
    expect(body).toEqual([{ result: 'OK' }, { error: expect.stringMatching(/^ERR/) }, { result: 'x' }])
  })

  it('answers 401 without the token and 405 for other methods', async () => {
    expect((await post('/', ['GET', 'a'], { authorization: 'Bearer wrong' })).status).toBe(401)
    expect((await fetch(upstash.url, { method: 'POST', body: '["PING"]' })).status).toBe(401)
    const headers = { authorization: `Bearer ${upstash.token}` }
    expect((await fetch(upstash.url, { method: 'DELETE', headers })).status).toBe(405)
  })
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('its life', () => {
  it('answers 500 when its Redis has died, and leaves nothing behind when it is stopped', async () => {
    const { TMPDIR } = process.env
    const folder = (process.env.TMPDIR = mkdtempSync(join(tmpdir(), 'upstash-test-')))
    const mortal = await startUpstash().finally(() => {
      if (TMPDIR === undefined) delete process.env.TMPDIR
      else process.env.TMPDIR = TMPDIR
    })
    expect(readdirSync(folder)).toHaveLength(1)
    const ask = () =>
      fetch(mortal.url, { method: 'POST', headers: { authorization: `Bearer ${mortal.token}` }, body: '["PING"]' })
    expect((await ask()).status).toBe(200)
    process.kill(mortal.redisPid, 'SIGKILL')
    // The signal is asynchronous: an answer may still slip out.
    for (let status = 200; status !== 500;) status = (await ask()).status
    await mortal.stop()
    await mortal.stop()
    await expect(ask()).rejects.toThrow()
    expect(readdirSync(folder)).toEqual([])
    rmSync(folder, { recursive: true })
  })

  it('stops a Redis that is itself stopped', async () => {
    const hung = await startUpstash()
    process.kill(hung.redisPid, 'SIGSTOP')
    await hung.stop()
    await expect.poll(() => isAlive(hung.redisPid)).toBe(false)
  })

  it('runs alone and prints what a Worker needs, until a signal ends it', async () => {
    const alone = spawn(process.execPath, ['dev/upstash/main.ts'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = new Promise((resolve) => alone.once('exit', resolve))
    let printed = ''
    for await (const chunk of alone.stdout) {
      printed += String(chunk)
      if (printed.includes('TOKEN=')) break
    }
    const [, url = '', token = ''] = /URL=(\S+)\nUPSTASH_REDIS_REST_TOKEN=(\S+)/.exec(printed) ?? []
    expect(await new Redis({ url, token }).ping()).toBe('PONG')
    alone.kill('SIGTERM')
    expect(await ended).toBe(0)
  })

  it('names the package when redis-server is missing, and says so when the port is taken', async () => {
    const path = process.env.PATH
    process.env.PATH = '/nonexistent'
    await expect(startUpstash())
      .rejects.toThrow('Debian package "redis-server"')
      .finally(() => (process.env.PATH = path))
    await expect(startUpstash({ port: Number(new URL(upstash.url).port) })).rejects.toThrow('EADDRINUSE')
  })
})
