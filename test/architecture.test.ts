/// <reference types="vite/types/importMeta.d.ts" />
import { describe, expect, it } from 'vitest'
import { findCircles, findLargeFolders, findUpwardImports, parseSource } from './support/import-graph.ts'

const sources = import.meta.glob<string>('../src/**/*.ts', { query: '?raw', import: 'default', eager: true })

const files = Object.entries(sources).map(([path, text]) => parseSource(path.replace('../src/', ''), text))

/** From the lowest to the highest: a room imports itself and the rooms before it. docs/architecture.md lists what each owns. */
const ROOMS = [
  'lib',
  'config/schema',
  'core',
  'telemetry',
  'routing',
  'cache/http',
  'signatures',
  'identity',
  'auth',
  'limits',
  'cache',
  'upstream',
  'policies',
  'config',
  'builtins',
  'ingress',
  'route.ts',
  'gateway.ts',
  'env.ts',
  'index.ts',
]

/** The allowed upward imports, each with its reason. */
const PLATFORM = 'the platform names each Durable Object by the small interface that its capability exports'
const UPWARD: Readonly<Record<string, string>> = {
  'core/platform.ts imports auth/config/auth-provider.ts': 'the platform holds the checked auth providers',
  'core/platform.ts imports cache/api.ts': PLATFORM,
  'core/platform.ts imports identity/api.ts': PLATFORM,
  'core/platform.ts imports identity/oauth-builtins.ts': 'the platform holds the paths of the OAuth endpoints',
  'core/platform.ts imports limits/limiter.ts': PLATFORM,
  'core/platform.ts imports signatures/nonces.ts': PLATFORM,
  'core/platform.ts imports upstream/circuit-breaker/api.ts': PLATFORM,
  'core/policy.ts imports auth/config/auth-provider.ts': 'a policy may check what the providers of its route are',
}

const MAX_FILES_IN_A_FOLDER = 15

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

  it('has no circle of imports, types included', () => {
    expect(findCircles(files)).toEqual([])
  })

  it('imports down alone, but where a reason is given', () => {
    expect(findUpwardImports(files, ROOMS).toSorted()).toEqual(Object.keys(UPWARD).toSorted())
  })

  it('has a place in the list for every file', () => {
    const placed = (name: string) => ROOMS.some((room) => name === room || name.startsWith(`${room}/`))
    expect(files.filter(({ name }) => !placed(name)).map(({ name }) => name)).toEqual([])
  })

  it('gives an exported name one meaning', () => {
    const places = new Map<string, string[]>()
    for (const { name, text } of files)
      for (const [, exported] of text.matchAll(/^export (?:async )?(?:function|const|interface|type|class) (\w+)/gm))
        places.set(exported!, [...(places.get(exported!) ?? []), name])
    const several = [...places].filter(([, found]) => found.length > 1)
    expect(several.map(([exported, found]) => `${exported}: ${found.join(', ')}`)).toEqual([])
  })

  it('keeps folders small enough to read', () => {
    // The folder of the policies has one file for each.
    const others = files.filter(({ name }) => !name.startsWith('policies/'))
    expect(findLargeFolders(others, MAX_FILES_IN_A_FOLDER)).toEqual([])
  })

  it.each<[rule: string, within: RegExp, forbidden: RegExp]>([
    ['a policy knows no other policy', /^policies\/(?!index)/, /^policies\//],
    [
      'a policy knows neither Hono nor env nor upstreams',
      /^policies\/(?!index)/,
      /^(hono|cloudflare:workers|upstream\/.*|gateway\.ts|route\.ts)$/,
    ],
    ['Hono stands in builtins only', /^(?!builtins\/)/, /^hono/],
    ['state and telemetry know no policy', /^(?!policies\/|config\/|route\.ts|ingress\/)/, /^policies\//],
    ['lib knows nothing of ours', /^lib\//, /^(?!lib\/)[\w-]+(\/[\w-]+)*\.ts$/],
    [
      'the HTTP cache rules know nothing of the gateway',
      /^cache\/http\//,
      /^(?!cache\/http\/|lib\/)[\w-]+(\/[\w-]+)*\.ts$/,
    ],
    ['nothing reaches up to the gateway', /^(?!index\.ts)/, /^gateway\.ts$/],
    ['nothing but the gateway reaches up to routes', /^(?!gateway\.ts)/, /^route\.ts$/],
    ['upstream stages know no policy', /^upstream\//, /^policies\//],
    [
      'the pipeline and the exchange stand on nothing above them',
      /^core\/(pipeline|exchange|problem)\.ts$/,
      /^(policies|upstream|limits|auth)\//,
    ],
    ['zod comes in its small form', /./, /^zod(?!\/mini$)/],
  ])('%s', (_, within, forbidden) => {
    expect(importsOf(within, forbidden)).toEqual([])
  })

  it('reads the environment in the entry and in Durable Objects alone', () => {
    const readers = files.filter(({ imports }) => imports.includes('cloudflare:workers'))
    const others = readers.filter(({ name, text }) => name !== 'index.ts' && !text.includes('extends DurableObject'))
    expect(others.map(({ name }) => name)).toEqual([])
  })

  it('keeps files small', () => {
    const lines = files.map((file) => ({ name: file.name, count: file.text.split('\n').length - 1 }))
    expect(lines.filter((file) => file.count > 250)).toEqual([])
    expect(lines.map((file) => file.count).toSorted((a, b) => a - b)[Math.floor(lines.length / 2)]).toBeLessThanOrEqual(
      100,
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

describe('the finders of these rules', () => {
  const graph = (imports: Readonly<Record<string, string>>) =>
    Object.entries(imports).map(([name, imported]) =>
      parseSource(name, imported && `import type { X } from '${imported}'`),
    )

  it('name the chain of a circle, types included', () => {
    const files = graph({ 'a/x.ts': './y.ts', 'a/y.ts': '../b/z.ts', 'b/z.ts': '../a/x.ts', 'b/w.ts': './z.ts' })
    expect(findCircles(files)).toEqual(['a/x.ts → a/y.ts → b/z.ts → a/x.ts'])
    expect(findCircles(graph({ 'a/x.ts': './y.ts', 'a/y.ts': '../b/z.ts', 'b/z.ts': '' }))).toEqual([])
  })

  it('name an import that goes up, and take the inner room for the file in it', () => {
    const files = graph({ 'b/x.ts': '../a/y.ts', 'a/y.ts': '../b/in/z.ts', 'b/in/z.ts': '' })
    expect(findUpwardImports(files, ['a', 'b'])).toEqual(['a/y.ts imports b/in/z.ts'])
    expect(findUpwardImports(files, ['b/in', 'a', 'b'])).toEqual([])
  })

  it('name a folder with too many files of its own', () => {
    const files = graph({ 'a/x.ts': '', 'a/y.ts': '', 'a/in/z.ts': '' })
    expect(findLargeFolders(files, 1)).toEqual(['a: 2 files'])
    expect(findLargeFolders(files, 2)).toEqual([])
  })
})
