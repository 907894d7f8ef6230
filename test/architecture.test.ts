/// <reference types="vite/types/importMeta.d.ts" />
import { describe, expect, it } from 'vitest'

const sources = import.meta.glob<string>('../src/**/*.ts', { query: '?raw', import: 'default', eager: true })

const files = Object.entries(sources).map(([path, text]) => {
  const name = path.replace('../src/', '')
  const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => resolve(name, match[1]!))
  return { name, text, imports }
})

/** `./x.ts` as seen from `a/b.ts` → `a/x.ts`; a package keeps its name. */
function resolve(from: string, specifier: string): string {
  return specifier.startsWith('.') ? new URL(specifier, `file:///src/${from}`).pathname.replace('/src/', '') : specifier
}

function importsOf(within: RegExp, forbidden: RegExp): string[] {
  return files
    .filter((file) => within.test(file.name))
    .flatMap((file) =>
      file.imports.filter((name) => forbidden.test(name)).map((name) => `${file.name} imports ${name}`),
    )
}

describe('the rules of the house', () => {
  it('sees the sources', () => {
    expect(files.length).toBeGreaterThan(20)
  })

  it.each<[rule: string, within: RegExp, forbidden: RegExp]>([
    ['a policy knows no other policy', /^policies\/(?!index)/, /^policies\//],
    [
      'a policy knows neither Hono nor env nor upstreams',
      /^policies\/(?!index)/,
      /^(hono|cloudflare:workers|upstream\/.*|gateway\.ts|route\.ts)$/,
    ],
    ['Hono stands at the door and in builtins only', /^(?!gateway\.ts|builtins\/)/, /^hono/],
    ['state and telemetry know no policy', /^(state|telemetry)\//, /^policies\//],
    ['lib knows nothing of ours', /^lib\//, /^(?!lib\/)[\w-]+(\/[\w-]+)*\.ts$/],
    ['nothing but the entry reads the environment', /^(?!index\.ts|state\/)/, /^cloudflare:workers$/],
    ['nothing reaches up to the gateway', /^(?!index\.ts)/, /^gateway\.ts$/],
    ['nothing but the gateway reaches up to routes', /^(?!gateway\.ts)/, /^route\.ts$/],
    ['upstream stages know no policy', /^upstream\//, /^policies\//],
    [
      'the pipeline and the exchange stand on nothing above them',
      /^core\/(pipeline|exchange|problem)\.ts$/,
      /^(policies|upstream|limits|auth|state)\//,
    ],
    ['zod comes in its small form', /./, /^zod(?!\/mini$)/],
  ])('%s', (_, within, forbidden) => {
    expect(importsOf(within, forbidden)).toEqual([])
  })

  it('keeps files small', () => {
    const lines = files.map((file) => ({ name: file.name, count: file.text.split('\n').length - 1 }))
    expect(lines.filter((file) => file.count > 250)).toEqual([])
    expect(lines.map((file) => file.count).toSorted((a, b) => a - b)[Math.floor(lines.length / 2)]).toBeLessThanOrEqual(
      90,
    )
  })

  it('has no any, no enum, no default export but the entry', () => {
    const found = files.filter(
      (file) =>
        /(:|<|\bas) any\b|^(export )?(const )?enum /m.test(file.text) ||
        (/^export default/m.test(file.text) && file.name !== 'index.ts'),
    )
    expect(found.map((file) => file.name)).toEqual([])
  })

  it('says on every export what it promises', () => {
    const undocumented = files.flatMap(({ name, text }) =>
      [...text.matchAll(/(?<!\*\/\n)^export (?!(?:type )?[{*]|default\b).*/gm)].map(
        ({ index, 0: line }) => `src/${name}:${text.slice(0, index).split('\n').length} has no doc comment: ${line}`,
      ),
    )
    expect(undocumented).toEqual([])
  })
})
