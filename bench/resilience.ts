import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { positive } from './arguments.ts'
import { measureDeadOrigin } from './dead-origin.ts'
import { measureLeavingClients } from './leaving-clients.ts'
import { measureResetPosts } from './reset-posts.ts'
import { measureSlowTarget } from './slow-target.ts'
import { measureStages } from './stage-cost.ts'
import { printFigures, type Figure } from './statistics.ts'

/**
 * `npm run bench:resilience -- [--part dead] [--seconds 15] [--posts 100000] [--clients 1000] [--rounds 9]`: measures the upstream stages under
 * faults, with real origins and by the ledgers of the origins. Without `--part` all of them, about eight minutes; `--seconds` is how long the origin stays dead, or the target slow.
 */
const PARTS = ['dead', 'slow', 'posts', 'clients', 'cost'] as const

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      part: { type: 'string', multiple: true, default: [...PARTS] },
      seconds: { type: 'string', default: '15' },
      posts: { type: 'string', default: '100000' },
      clients: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '9' },
    },
  })
  const unknown = values.part.find((part) => !PARTS.some((name) => name === part))
  if (unknown !== undefined) throw new Error(`--part: expected one of ${PARTS.join(', ')}, found ${unknown}`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  const seconds = positive('--seconds', values.seconds)
  const figures: Readonly<Record<(typeof PARTS)[number], readonly [title: string, measure: () => Promise<Figure[]>]>> =
    {
      dead: [`An origin that resets every connection for ${seconds} s`, () => measureDeadOrigin(seconds)],
      slow: ['One of three targets slow by 1 s, 500 requests/s', () => measureSlowTarget(seconds)],
      posts: ['POSTs while connections keep being reset', () => measureResetPosts(positive('--posts', values.posts))],
      clients: [
        'Clients that reset while the origin hangs',
        () => measureLeavingClients(positive('--clients', values.clients)),
      ],
      cost: [
        'Breaker and balancing, CPU above the bare route',
        () => measureStages(positive('--rounds', values.rounds)),
      ],
    }
  console.log(`Node ${process.version}, ${availableParallelism()} cores`)
  for (const part of PARTS.filter((name) => values.part.includes(name))) {
    const [title, measure] = figures[part]
    printFigures(title, await measure())
  }
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
