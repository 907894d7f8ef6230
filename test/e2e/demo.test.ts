import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { freePorts } from '../../dev/demo/ports.ts'
import { lockDemo } from '../support/demo-lock.ts'

// Released last: hooks run in reverse order.
afterAll(await lockDemo())

/** A demo as somebody started it in a terminal, with all that it has printed. */
interface Demo {
  readonly root: ChildProcess
  readonly port: number
  readonly printed: () => string
  readonly ended: Promise<number | null>
}

const demos: Demo[] = []
afterAll(async () => {
  // A test that failed half-way leaves its demo behind.
  const running = demos.filter(({ root }) => root.exitCode === null && root.signalCode === null)
  for (const { root } of running) process.kill(-root.pid!, 'SIGTERM')
  await Promise.all(running.map(({ ended }) => ended))
})

async function startDemo(command: string, ...args: string[]): Promise<Demo> {
  const [port] = (await freePorts(1)) as [number]
  const root = spawn(command, [...args, '--port', String(port)], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  const ended = new Promise<number | null>((resolve) => root.once('close', resolve))
  const ready = new Promise<void>((resolve) => {
    for (const stream of [root.stdout!, root.stderr!]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
        if (text.includes('gateway.log')) resolve()
      })
    }
  })
  const demo = { root, port, printed: () => text, ended }
  demos.push(demo)
  await Promise.race([ready, ended.then((code) => Promise.reject(new Error(`ended with ${code}: ${text}`)))])
  return demo
}

const isCommand = (line: string) => line.startsWith('curl ')
const commands = ({ printed }: Demo) => printed().split('\n').filter(isCommand)

/** Runs a printed line as it stands, in the shell that it is meant for. */
async function paste(line: string): Promise<string> {
  const { stdout } = await promisify(execFile)('bash', ['-c', line], { timeout: 30_000 })
  return stdout.replaceAll('\r', '')
}

/** What a line that greps status and headers has printed: those of one answer on one line. */
const headsOf = (printed: string) =>
  printed
    .trim()
    .replaceAll(/\n(?!HTTP)/g, ' ')
    .split('\n')

/** The process and all that came from it, by the parents that /proc tells. */
function family(pid: number): number[] {
  const children = new Map<number, number[]>()
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const parent = parentOf(entry)
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(entry)])
  }
  const below = (of: number): number[] => [of, ...(children.get(of) ?? []).flatMap(below)]
  return below(pid)
}

function parentOf(pid: string): number | undefined {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
  } catch {
    return undefined // It ended while we looked.
  }
}

/** Ended, or dead and only waiting for a parent to take note. */
function isGone(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return true
  }
}

const commandOf = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
const folderOf = ({ printed }: Demo) => dirname(/(\S+)\/?gateway\.log/.exec(printed())![0])

describe('npm start', () => {
  let demo: Demo
  let lines: string[]

  test('prints an address and ten lines to try, and nothing else of note', async () => {
    demo = await startDemo('npm', 'start', '--silent', '--')
    lines = commands(demo)
    expect(demo.printed()).toContain(`Umbral is at http://127.0.0.1:${demo.port} `)
    expect(lines).toHaveLength(10)
    const rest = demo.printed().split('\n')
    expect(rest.filter((line) => line !== '' && !isCommand(line) && !line.startsWith('# '))).toHaveLength(1)
  })

  test('without a token: 401', async () => {
    const answer = await paste(lines[0]!)
    expect(answer).toMatch(/^HTTP\/1.1 401 /)
    expect(answer).toMatch(/^www-authenticate: Bearer/im)
    expect(answer).toMatch(/^content-type: application\/problem\+json/im)
    expect(answer).toContain('"code":"token-missing"')
  })

  test('with a token: 200 and the user, behind the headers of the gateway', async () => {
    const answer = await paste(lines[1]!)
    expect(answer).toMatch(/^HTTP\/1.1 200 /)
    expect(answer).toMatch(/^x-content-type-options: nosniff$/im)
    expect(answer).toMatch(/^ratelimit-policy: "per-user";q=600;w=60$/im)
    expect(answer).toContain('{"id":7,"name":')
  })

  test('an order: 201, placed for the subject of the token', async () => {
    const answer = await paste(lines[2]!)
    expect(answer).toMatch(/^HTTP\/1.1 201 /)
    expect(answer).toContain('"user":"7","items":[{"product":3,"quantity":1}]')
  })

  test('past the limit: 429', async () => {
    const answers = headsOf(await paste(lines[3]!))
    expect(answers).toHaveLength(12)
    expect(answers[0]).toMatch(/^HTTP\/1.1 200 OK ratelimit: "per-address";r=4;t=\d+$/i)
    expect(answers.filter((head) => head.includes(' 200 ')).length).toBeOneOf([5, 6, 7, 8, 9, 10])
    expect(answers.filter((head) => / 429 .*"per-address";r=0;/.test(head)).length).toBeGreaterThanOrEqual(2)
  })

  test('a dead target: 200 all the same, from the other one', async () => {
    const answers = headsOf(await paste(lines[4]!))
    expect(answers).toHaveLength(4)
    for (const head of answers) expect(head).toMatch(/^HTTP\/1.1 200 OK .*x-served-by: users-1/i)
    expect(answers.some((head) => /x-attempt: 2/i.test(head))).toBe(true)
  })

  test('the target that died lives again', async () => {
    const revive = /lives again after: (curl .*)$/m.exec(demo.printed())![1]!
    await paste(revive)
    // A target that has failed rests for a second.
    await new Promise((passed) => setTimeout(passed, 1_100))
    const answers = headsOf(await paste(lines[4]!.replace(/ -s -o \/dev\/null -X PUT .* --next/, '')))
    expect(answers.some((head) => /x-served-by: users-2/i.test(head))).toBe(true)
  })

  test('a target that is gone: 502, then 503 at once from the open breaker', async () => {
    const counts = await paste(lines[5]!)
    // No request waits for the breaker's object, so that more than five fail before its answer is back.
    const [, failed, refused] = /^ *(\d+) 502\n *(\d+) 503\n$/.exec(counts) ?? [counts]
    expect(Number(failed)).toBeGreaterThanOrEqual(5)
    expect(Number(failed) + Number(refused)).toBe(200)
    const problem = await paste(`curl -i http://127.0.0.1:${demo.port}/broken`)
    expect(problem).toContain('"code":"circuit-open"')
    expect(problem).toMatch(/^retry-after: \d+$/im)
  })

  test('a password: a token for half an hour', async () => {
    const answer = await paste(lines[6]!)
    expect(answer).toMatch(/^HTTP\/1.1 200 /)
    expect(answer).toMatch(/^cache-control: no-store$/im)
    expect(JSON.parse(answer.split('\n\n')[1]!)).toMatchObject({ token_type: 'bearer', expires_in: 1800 })
    const wrong = await paste(lines[6]!.replace('&password=', '&password=x'))
    expect(wrong).toMatch(/^HTTP\/1.1 401 /)
    expect(wrong).toContain('"detail":"Incorrect username or password"')
  })

  test('that token: 200 and the profile', async () => {
    const answer = await paste(lines[7]!)
    expect(answer).toMatch(/^HTTP\/1.1 200 /)
    const profile = { username: 'johndoe', email: 'johndoe@example.com', full_name: 'John Doe', disabled: false }
    expect(JSON.parse(answer.split('\n\n')[1]!)).toEqual(profile)
  })

  test('a purge, then a product from its origin and from the store', async () => {
    for (let again = 0; again < 2; again++) {
      const [first, second] = headsOf(await paste(lines[8]!))
      expect(first).toMatch(/^HTTP\/1.1 200 OK cache-status: umbral; fwd=miss; fwd-status=200; stored$/i)
      expect(second).toMatch(/^HTTP\/1.1 200 OK .*cache-status: umbral; hit; ttl=\d+; detail=edge/i)
      expect(second).toMatch(/ age: \d+/i)
    }
  })

  test('how the gateway is: 200, and which upstream is broken', async () => {
    const answer = await paste(lines[9]!)
    expect(answer).toMatch(/^HTTP\/1.1 200 /)
    const { status, timestamp } = JSON.parse(answer.split('\n\n')[1]!) as Record<string, string>
    expect(status).toBeOneOf(['healthy', 'degraded'])
    expect(new Date(timestamp!).toISOString()).toBe(timestamp)
  })

  test('that user is no admin, and nobody can be the first any more', async () => {
    const [, header] = /(-H "Authorization: Bearer .*") http/.exec(lines[7]!)!
    const users = await paste(`curl -s ${header} http://127.0.0.1:${demo.port}/admin/users`)
    expect(users).toContain('"code":"role-missing"')
    const token = /UMBRAL_BOOTSTRAP_TOKEN='([^']+)'/.exec(readFileSync(join(folderOf(demo), 'demo.env'), 'utf8'))![1]!
    const first = await fetch(`http://127.0.0.1:${demo.port}/admin/bootstrap`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ username: 'eve', password: 'a long enough password' }),
    })
    expect([first.status, await first.text()]).toEqual([409, expect.stringContaining('"code":"bootstrap-over"')])
  })

  test('the log has a JSON line for each request', () => {
    const log = readFileSync(join(folderOf(demo), 'gateway.log'), 'utf8')
      .trim()
      .split('\n')
    expect(log.map((line) => JSON.parse(line) as unknown).length).toBeGreaterThan(20)
  })

  test('its secrets are readable by nobody else', () => {
    expect(statSync(join(folderOf(demo), 'demo.env')).mode & 0o777).toBe(0o600)
  })

  test('a second one on the same port says so', async () => {
    const args = ['dev/start.ts', '--port', String(demo.port), '--redis']
    const second = promisify(execFile)(process.execPath, args)
    await expect(second).rejects.toMatchObject({
      code: 1,
      stderr: `Port ${demo.port} is taken; try another: npm start -- --redis --port ${demo.port + 1}\n`,
    })
  })

  test('Ctrl-C leaves no process and no folder', async () => {
    const folder = folderOf(demo)
    const everyone = family(demo.root.pid!)
    expect(everyone.length).toBeGreaterThan(7)
    // A terminal signals its whole foreground group: npm and the runner.
    process.kill(-demo.root.pid!, 'SIGINT')
    await demo.ended
    expect(everyone.filter((pid) => !isGone(pid)).map(commandOf)).toEqual([])
    expect(existsSync(folder)).toBe(false)
  })
})

describe('npm start -- --redis', () => {
  let demo: Demo

  test('limits through Redis', async () => {
    demo = await startDemo(process.execPath, 'dev/start.ts', '--redis')
    expect(family(demo.root.pid!).map(commandOf).join('\n')).toContain('redis-server')
    const answers = headsOf(await paste(commands(demo)[3]!))
    expect(answers[0]).toMatch(/ 200 OK ratelimit: "per-address";r=4;/i)
    expect(answers.some((head) => head.includes(' 429 '))).toBe(true)
  })

  test('when one part dies, it says which, and all the others end', async () => {
    const everyone = family(demo.root.pid!)
    const victim = everyone.find((pid) => commandOf(pid).includes('dev/services/catalog.ts'))!
    process.kill(victim, 'SIGKILL')
    expect(await demo.ended).toBe(1)
    expect(demo.printed()).toContain('catalog ended (SIGKILL)')
    expect(everyone.filter((pid) => !isGone(pid)).map(commandOf)).toEqual([])
  })
})
