import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { executeObjectCall, remoteObjects, type ObjectCall, type StateService } from '../../src/core/remote-objects.ts'
import type { LimitShardApi } from '../../src/limits/limiter.ts'

const SECRET = 'a secret of two machines'
const here = { ...env, UMBRAL_STATE_SECRET: SECRET }
const service: StateService = { call: (secret, call) => executeObjectCall(here, secret, call) }
const call = (parts: Partial<ObjectCall> = {}): ObjectCall => ({
  binding: 'LIMITS',
  name: 'remote-shard',
  method: 'take',
  args: [{ key: 'a', spec: { name: 'n', limit: 3, windowMs: 60_000 }, ask: { want: 1, atLeast: 1 } }],
  ...parts,
})

it('calls an object of another process as if it were here', async () => {
  const shards = remoteObjects<LimitShardApi>(service, SECRET, 'LIMITS')
  const take = () =>
    shards
      .getByName('remote-taken')
      .take({ key: 'a', spec: { name: 'n', limit: 3, windowMs: 60_000 }, ask: { want: 2, atLeast: 1 } })
  expect(await take()).toMatchObject({ granted: 2, remaining: 1 })
  expect(await take()).toMatchObject({ granted: 1, remaining: 0 })
})

describe('a call that is refused', () => {
  it.each([
    ['without the secret', '', call(), 'UMBRAL_STATE_SECRET does not match'],
    ['with another secret', `${SECRET}!`, call(), 'UMBRAL_STATE_SECRET does not match'],
    ['with something else for it', undefined, call(), 'UMBRAL_STATE_SECRET does not match'],
    ['of something that is no object', SECRET, call({ binding: 'UMBRAL_STATE_SECRET' }), 'no objects'],
    ['of an unknown binding', SECRET, call({ binding: 'toString' }), 'no objects'],
    ['of a method of the runtime', SECRET, call({ method: 'fetch' }), 'no method fetch'],
    ['of an alarm', SECRET, call({ method: 'alarm' }), 'no method alarm'],
  ])('is refused: %s', async (_, secret, refused, message) => {
    await expect(executeObjectCall(here, secret, refused)).rejects.toThrow(message)
  })
})

it('has no secret where none is set: only processes of this machine can reach it then', async () => {
  await expect(executeObjectCall(env, '', call())).resolves.toMatchObject({ granted: 1 })
  await expect(executeObjectCall(env, 'x', call())).rejects.toThrow('does not match')
})
