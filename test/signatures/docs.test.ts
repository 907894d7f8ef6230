/// <reference types="vite/types/importMeta.d.ts" />
import { expect, it } from 'vitest'
import { PROBLEMS } from '../../src/core/problem.ts'

const [page] = Object.values(
  import.meta.glob<string>('../../docs/http-signatures.md', { query: '?raw', import: 'default', eager: true }),
) as [string]

it('docs/http-signatures.md gives every code of a signature with its status', () => {
  const rows = [...page.matchAll(/^\| `([a-z-]+)` +\| (\d{3}) /gm)]
  for (const [, code, status] of rows)
    expect([code, PROBLEMS[code as keyof typeof PROBLEMS][0]]).toEqual([code, Number(status)])
  const codes = Object.keys(PROBLEMS).filter((code) => /^(signature|digest|nonce)-|^not-configured$/.test(code))
  expect(new Set(rows.map(([, code]) => code))).toEqual(new Set(codes))
})
