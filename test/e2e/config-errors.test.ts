import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { freePorts } from '../../dev/demo/ports.ts'
import { lockDemo } from '../support/demo-lock.ts'

afterAll(await lockDemo())

const folder = mkdtempSync(join(tmpdir(), 'umbral-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

const routes = join(folder, 'routes.json')
/** Empty as long as no demo has started. */
const TMPDIR = join(folder, 'tmp')
mkdirSync(TMPDIR)

/** Writes the demo's routes.json with one mistake in it. */
function writeMistake(right: string, wrong: string): void {
  const demo = readFileSync('routes.json', 'utf8')
  expect(demo).toContain(right)
  writeFileSync(routes, demo.replace(right, wrong))
}

function run(...args: string[]): { status: number | null; output: string } {
  const env = { ...process.env, UMBRAL_ROUTES: routes, TMPDIR, CI: '1', WRANGLER_SEND_METRICS: 'false' }
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8', timeout: 30_000 })
  return { status, output: `${stdout}${stderr}` }
}

const mistakes: [what: string, right: string, wrong: string, path: string, message: string][] = [
  ['an unknown key', '"timeout": "3s"', '"timeot": "3s"', 'upstreams.users.timeot', 'did you mean "timeout"?'],
  ['a wrong type', '"timeout": "3s"', '"timeout": 3', 'upstreams.users.timeout', 'expected a duration such as "250ms"'],
  ['a bad duration', '"3s"', '"3 parsecs"', 'upstreams.users.timeout', 'expected a duration such as "250ms"'],
  ['a bad URL', '{ "$env": "CATALOG_URL" }', '"ftp://x"', 'upstreams.catalog.targets[0].url', 'http(s) URL'],
  ['an unknown upstream', '"upstream": "users"', '"upstream": "user"', 'routes[1].upstream', 'did you mean "users"?'],
  ['an unknown provider', '["main"]', '["mian"]', 'routes[1].policies.auth.providers[0]', 'did you mean "main"?'],
  ['an unknown policy', '"rateLimit"', '"rateLimits"', 'routes[2].policies.rateLimits', 'did you mean "rateLimit"?'],
  ['an id used twice', '"id": "list-users"', '"id": "get-user"', 'routes[2].id', 'routes[1] has the id "get-user"'],
  ['a shadowed route', '"/users/:id"', '"/users"', 'routes[2].match', 'match routes[1] "list-users"'],
  ['no JSON', '"version": 1', '"version": 1,', 'routes.json:3:16', 'expected a key in double quotes'],
  ['a key twice', '"version": 1', '"version": 1, "version": 1', 'version', 'stands twice (in line 3)'],
]

test.for(mistakes)('%s stops npm start before anything runs', async ([, right, wrong, path, message]) => {
  writeMistake(right, wrong)
  const [port] = await freePorts(1)
  const { status, output } = run('dev/start.ts', '--port', String(port))
  expect(status).toBe(1)
  expect(output.split('\n').find((line) => line.includes(`${path}: `))).toContain(message)
  expect(readdirSync(TMPDIR)).toEqual([])
})

test('npm start takes a relative UMBRAL_ROUTES from the folder in which the command was typed', async () => {
  writeFileSync(join(folder, 'typed.json'), '{ "version": 2 }')
  const [port] = await freePorts(1)
  const { status, stderr } = spawnSync('npm', ['--prefix', process.cwd(), 'start', '--', '--port', String(port)], {
    cwd: folder,
    env: { ...process.env, UMBRAL_ROUTES: 'typed.json' },
    encoding: 'utf8',
    timeout: 30_000,
  })
  expect(status).toBe(1)
  expect(stderr).toContain(`${join(folder, 'typed.json')}: `)
  expect(stderr).toContain('  version: expected the number 1, found 2')
})

test('a warning names its path and stops nothing', () => {
  const metadata = { targets: [{ url: 'http://169.254.169.254' }] }
  const file = { version: 1, upstreams: { metadata }, routes: [{ id: 'a', match: { path: '/a' }, respond: {} }] }
  writeFileSync(routes, JSON.stringify(file))
  const { status, output } = run('dev/build.ts', '--check')
  expect(status).toBe(0)
  expect(output).toContain(
    `${routes}: 2 warnings\n  upstreams.metadata: no route uses it\n  upstreams.metadata.targets[0].url: is a link-local`,
  )
  expect(output).toContain(`${routes}: no mistakes\n`)
})

test('npm start lists every target whose variable is not set', async () => {
  writeMistake('"ORDERS_URL" } }]', '"UNSET_A" } }, { "url": { "$env": "UNSET_B" } }]')
  const [port] = await freePorts(1)
  const { status, output } = run('dev/start.ts', '--port', String(port))
  expect(status).toBe(1)
  expect(output).toContain('upstreams.orders.targets[0].url: the variable UNSET_A is not set')
  expect(output).toContain('upstreams.orders.targets[1].url: the variable UNSET_B is not set')
  expect(readdirSync(TMPDIR)).toEqual([])
})

test.for(['dev/start.ts', 'deploy/serve.ts', 'dev/build.ts', 'dev/origin.ts'])('%s says how it is used', (program) => {
  const help = run(program, '--help')
  expect(help).toEqual({ status: 0, output: expect.stringMatching(/^Usage: npm /) as string })
  const wrong = run(program, '--prot', '1')
  expect(wrong.status).toBe(2)
  expect(wrong.output).toBe(`Unknown option '--prot'\n\n${help.output}`)
})

test('a port that is none stops every program that takes one', () => {
  for (const args of [
    ['dev/start.ts', '--port', '0'],
    ['deploy/serve.ts', '--port', '65536'],
    ['dev/origin.ts', 'x'],
  ]) {
    const { status, output } = run(...args)
    expect([status, output.split('\n')[0]]).toEqual([
      2,
      expect.stringMatching(/^--port: expected a number from [01] to/),
    ])
  }
})

const wrangler = 'node_modules/wrangler/bin/wrangler.js'
test.for([
  ['npm run validate', 'dev/build.ts', '--check'],
  ['wrangler dev', wrangler, 'dev', '--port', '0', '--inspector-port', '0', '--persist-to', TMPDIR],
  ['wrangler deploy --dry-run', wrangler, 'deploy', '--dry-run', '--outdir', join(TMPDIR, 'dist')],
])('a mistake stops %s', ([, ...command]) => {
  writeMistake('"timeout": "3s"', '"timeot": "3s"')
  const { status, output } = run(...command)
  expect(status).toBe(1)
  expect(output).toContain('upstreams.users.timeot: unknown key; did you mean "timeout"?')
})

test('npm run validate checks the file that it is given, whatever UMBRAL_ROUTES says', () => {
  writeMistake('"timeout": "3s"', '"timeot": "3s"')
  expect(run('dev/build.ts', '--check', 'routes.json')).toEqual({ status: 0, output: 'routes.json: no mistakes\n' })
})
