import { expect, it } from 'vitest'
import type { Platform } from '../../../src/core/platform.ts'
import { makeTestGateway } from '../../support/gateway-in-workerd.ts'

it('tells the identity store the retention once, and again while that does not respond', async () => {
  const calls: unknown[] = []
  let result: unknown
  const execute = (name: string, args: readonly unknown[]) => {
    if (name === 'setAuditRetention') calls.push(args[0])
    return Promise.resolve(name === 'setAuditRetention' ? result : { items: [] })
  }
  const platform: Partial<Platform> = {
    hasAdmin: true,
    variable: (name) => ({ LOG_LEVEL: 'silent' })[name],
    auditRetention: { maxAgeMs: 7, maxRows: 3 },
    identityStore: { getByName: () => ({ execute }) } as unknown as Platform['identityStore'],
  }
  const { fetch, settled } = makeTestGateway(
    {
      clientAddress: { source: 'cf-connecting-ip' },
      routes: [
        { id: 'admin', match: { path: '/admin/*' }, builtin: 'admin', policies: { ip: { allow: ['192.0.2.0/24'] } } },
      ],
    },
    platform,
  )
  const call = async () => {
    const response = await fetch('/admin/audit', { headers: { 'cf-connecting-ip': '192.0.2.7' } })
    await settled()
    return response.status
  }
  expect([await call(), await call()]).toEqual([200, 200])
  result = 'set'
  await call()
  await call()
  await call()
  expect(calls).toEqual([1, 2, 3].map(() => ({ maxAgeMs: 7, maxRows: 3 })))
})
