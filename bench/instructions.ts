import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { needProgram } from './load.ts'
import { digits, printFigures, single, type Figure } from './statistics.ts'
import { startPolicySet, startWorker, type Bench, type Subject } from './subjects.ts'

const run = promisify(execFile)

/** Requests before counting starts, so that V8 compiles hot functions and the gateway fills its caches. */
const WARM_REQUESTS = 1_500
const COUNTED_REQUESTS = 500

const SETS = ['bare', 'auth', 'limit', 'full', 'cache'] as const

/** The fields of a browser; 21 with Host, Connection and Authorization. */
const BROWSER_FIELDS: Readonly<Record<string, string>> = {
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'accept-language': 'en-GB,en;q=0.9,es;q=0.8',
  'accept-encoding': 'identity',
  'cache-control': 'max-age=0',
  'sec-ch-ua': '"Chromium";v="142", "Not_A Brand";v="99"',
  'sec-ch-ua-mobile': '?0',
  'sec-ch-ua-platform': '"Linux"',
  'sec-fetch-site': 'same-origin',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-user': '?1',
  'sec-fetch-dest': 'document',
  'upgrade-insecure-requests': '1',
  referer: 'https://app.example.com/users',
  cookie: 'theme=dark; consent=1',
  priority: 'u=0, i',
  dnt: '1',
  'x-requested-with': 'XMLHttpRequest',
}

const FIELD_COUNTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '4 fields': { accept: '*/*' },
  '21 fields': BROWSER_FIELDS,
}

/**
 * Thousand instructions a request, counted by callgrind: ±3 %, independent of the load of the machine. Each set of policies against the
 * pass-through Worker, with the 4 header fields of a plain client and the 21 of a browser.
 */
export async function measureInstructions(bench: Bench): Promise<Readonly<Record<string, number>>> {
  needProgram('valgrind')
  const counts: Record<string, number> = {}
  for (const [fields, headers] of Object.entries(FIELD_COUNTS)) {
    const figures: Figure[] = []
    for (const set of ['pass-through', ...SETS] as const) {
      const kilo = await countInstructions(bench, set, headers)
      counts[`${set}, ${fields}`] = kilo
      const base = counts[`pass-through, ${fields}`]!
      figures.push({ name: set, value: single(Math.round(kilo)), unit: 'k', note: `${digits(kilo / base)} ×` })
    }
    printFigures(`Instructions a request, ${fields}`, figures)
  }
  return counts
}

async function countInstructions(
  bench: Bench,
  set: 'pass-through' | (typeof SETS)[number],
  fields: Readonly<Record<string, string>>,
): Promise<number> {
  const out = join(bench.folder, 'callgrind.out')
  const launcher = [
    'valgrind',
    '--quiet',
    '--tool=callgrind',
    // V8 generates code at run time.
    '--smc-check=all-non-file',
    '--instr-atstart=no',
    `--callgrind-out-file=${out}`,
  ]
  const subject =
    set === 'pass-through' ? await startWorker(bench, set, launcher) : await startPolicySet(bench, set, launcher)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  // A cookie is a credential too.
  const { cookie, ...others } = fields
  const sent = set !== 'cache' || cookie === undefined ? fields : others
  try {
    if (set === 'cache') await checkHit(subject, sent)
    await send(subject, agent, sent, WARM_REQUESTS)
    await run('callgrind_control', ['-i', 'on', String(subject.pid)])
    await send(subject, agent, sent, COUNTED_REQUESTS)
    await run('callgrind_control', ['-i', 'off', String(subject.pid)])
  } finally {
    agent.destroy()
    await subject.stop()
  }
  return totalOf(bench.folder) / COUNTED_REQUESTS / 1_000
}

/** Rejects unless the second request is served from the cache. */
async function checkHit({ url, headers }: Subject, fields: Readonly<Record<string, string>>): Promise<void> {
  const call = async () => {
    const response = await fetch(url, { headers: { ...headers, ...fields } })
    await response.arrayBuffer()
    return response.headers.get('cache-status') ?? ''
  }
  await call()
  const status = await call()
  if (!status.startsWith('umbral; hit')) throw new Error(`cache: expected a hit, found "${status}"`)
}

/** One request after the other over one connection. Rejects on a response that is not a 200. */
async function send(
  { url, headers }: Subject,
  agent: Agent,
  fields: Readonly<Record<string, string>>,
  times: number,
): Promise<void> {
  for (let i = 0; i < times; i++) {
    await new Promise<void>((resolve, reject) => {
      request(url, { agent, headers: { ...headers, ...fields } }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`${url}: ${response.statusCode}`))
        response.resume().on('end', resolve).on('error', reject)
      })
        .on('error', reject)
        .end()
    })
  }
}

/** The sum of all dumps, which are removed. */
function totalOf(folder: string): number {
  const dumps = readdirSync(folder).filter((name) => name.startsWith('callgrind.out'))
  const totals = dumps.map((name) => {
    const [, total] = /^totals: (\d+)/m.exec(readFileSync(join(folder, name), 'utf8')) ?? []
    rmSync(join(folder, name))
    return Number(total ?? 0)
  })
  return totals.reduce((sum, total) => sum + total, 0)
}
