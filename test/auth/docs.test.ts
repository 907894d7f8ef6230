/// <reference types="vite/types/importMeta.d.ts" />
import { SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { PROBLEMS } from '../../src/core/problem.ts'
import { makeTestGateway } from '../support/gateway-in-workerd.ts'

const [page] = Object.values(
  import.meta.glob<string>('../../docs/auth.md', { query: '?raw', import: 'default', eager: true }),
) as [string]
const globbed = Object.keys(import.meta.glob(['../../src/**/*.ts', '../../test/**/*.ts', '!./docs.test.ts']))
const files = new Set(globbed.map((path) => new URL(path, 'file:///test/auth/').pathname.slice(1)))

describe('docs/auth.md', () => {
  it('holds an excerpt that runs as it stands', async () => {
    const routes = JSON.parse(/```json\n([^]*?)```/.exec(page)![1]!) as Record<string, unknown>
    const secret = /JWT_SECRET=(\S+)/.exec(page)![1]!
    const gateway = makeTestGateway(routes, { secret: () => secret })
    expect((await gateway.fetch('/hello')).status).toBe(401)
    const token = await new SignJWT({ iss: 'old', aud: 'api', sub: 'ada', scope: 'hello:read' })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('5m')
      .sign(new TextEncoder().encode(secret))
    const answer = await gateway.fetch('/hello', { headers: { authorization: `Bearer ${token}` } })
    expect(await answer.text()).toBe('Hello')
  })

  it('holds excerpts for every kind that are taken as they stand, and close the route', async () => {
    const excerpts = [...page.matchAll(/```json\n([^]*?)```/g)].map(([, text]) => JSON.parse(text!) as object)
    const answers = excerpts.map(async (routes) => {
      const gateway = makeTestGateway(routes as Record<string, unknown>, { secret: () => 'a'.repeat(32) })
      return ((await (await gateway.fetch('/hello')).json()) as { code: string }).code
    })
    const codes = ['token-missing', 'api-key-missing', 'token-missing', 'certificate-unavailable']
    expect(await Promise.all(answers)).toEqual(codes)
  })

  it('gives every code with its status', () => {
    const rows = [...page.matchAll(/^\| `([a-z-]+)` +\| (\d{3}) /gm)]
    expect(rows.length).toBeGreaterThan(12)
    for (const [, code, status] of rows)
      expect([code, PROBLEMS[code as keyof typeof PROBLEMS][0]]).toEqual([code, Number(status)])
    const codes = Object.keys(PROBLEMS).filter((code) =>
      /^(?:bearer|token|keys|api-key|certificate|introspection|identity|credentials|revocation)-|^(?:scope-missing|role-missing|claim-mismatch|not-configured)$/.test(
        code,
      ),
    )
    expect(new Set(rows.map(([, code]) => code))).toEqual(new Set(codes))
  })

  it('names files that exist', () => {
    const named = [...page.matchAll(/`((?:src|test)\/[^`]+\.ts)`/g)].map((match) => match[1]!)
    expect(named.length).toBeGreaterThan(20)
    expect(named.filter((name) => !files.has(name))).toEqual([])
  })
})
