import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { readJson } from '../../dev/read-json.ts'

const ROOT = join(import.meta.dirname, '../..')
const pages = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/*.md', { cwd: ROOT })]
const textOf = (page: string) => readFileSync(join(ROOT, page), 'utf8')

/** The anchors that a page's headings have on the web. */
function anchorsOf(page: string): string[] {
  const headings = textOf(page).matchAll(/^#+ (.+)$/gm)
  return [...headings].map(([, title]) =>
    title!
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}

test.for(pages)('the links of %s lead somewhere', (page) => {
  const links = [...textOf(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)/g)]
  const broken = links.filter(([, file, anchor]) => {
    const target = file === '' ? join(ROOT, page) : resolve(ROOT, dirname(page), file!)
    if (!existsSync(target)) return true
    return anchor !== undefined && !anchorsOf(target.slice(ROOT.length + 1)).includes(anchor)
  })
  expect(broken.map(([link]) => link)).toEqual([])
})

test('the README links every page of docs/', () => {
  const unlinked = pages.slice(2).filter((page) => !textOf('README.md').includes(`](${page})`))
  expect(unlinked).toEqual([])
})

/** The blocks of JSON that are whole routes files, by page and line. */
const files = pages.flatMap((page) =>
  [...textOf(page).matchAll(/^```json\n(\{[^]*?)^```$/gm)].flatMap((block) => {
    const line = textOf(page).slice(0, block.index).split('\n').length
    return /^ {2}"routes"/m.test(block[1]!) ? [{ place: `${page}:${line}`, text: block[1]! }] : []
  }),
)

test('there are routes files in the documentation', () => {
  expect(files.length).toBeGreaterThanOrEqual(9)
})

/** Runs a program of this project on a file with this content, as `routes.json` of a folder of its own. */
function inFolder<Result>(content: string, run: (folder: string) => Result): Result {
  const folder = mkdtempSync(join(tmpdir(), 'umbral-docs-'))
  try {
    writeFileSync(join(folder, 'shop.json'), content)
    return run(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test.for(files)('the routes file at $place is right', ({ place, text }) => {
  expect(readJson(place, text).diagnostics).toEqual([])
  const { status, stderr } = inFolder(text, (folder) =>
    spawnSync(process.execPath, ['dev/build.ts', '--check', join(folder, 'shop.json')], {
      cwd: ROOT,
      env: {},
      encoding: 'utf8',
    }),
  )
  expect([status, stderr]).toEqual([0, ''])
})

test('the transcript in docs/routes-json.md is what these commands print', () => {
  const page = textOf('docs/routes-json.md')
  const [, sed, printed] = /^\$ (sed .+)\n\$ npm run -s validate -- broken\.json\n([^]*?)^```/m.exec(page)!
  const [first] = files.filter(({ place }) => place.startsWith('docs/routes-json.md'))
  inFolder(first!.text, (folder) => {
    const script = `${sed} && node ${join(ROOT, 'dev/build.ts')} --check broken.json`
    const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` }
    const { stderr, status } = spawnSync('bash', ['-c', script], { cwd: folder, env, encoding: 'utf8' })
    expect([status, stderr]).toEqual([1, printed])
  })
})

test('the pages that name the order of the policies name that of src/policies/index.ts', () => {
  const list = /const ordered = \[([^\]]+)\]/.exec(textOf('src/policies/index.ts'))![1]!
  const order = list
    .split(',')
    .map((name) => name.trim().replace('rateLimitBeforeAuth', 'rateLimit (before: "auth")'))
    .filter((name) => name !== '')
  expect.soft(orderIn('docs/architecture.md'), 'docs/architecture.md').toEqual(order)
  expect.soft(orderIn('docs/routes-json.md'), 'docs/routes-json.md').toEqual(order)
  const beforeAuth = order.slice(0, order.indexOf('auth'))
  expect.soft(orderIn('docs/security.md'), 'docs/security.md').toEqual(beforeAuth)
})

/** The policies that a page lists between its marks; undefined where it has none. */
function orderIn(page: string): string[] | undefined {
  return /<!-- order[^>]*-->\s+([^]*?)\s+<!-- \/order -->/.exec(textOf(page))?.[1]?.replaceAll('`', '').split(', ')
}
